;; Never ends its start section, which runs before any export can be called.
(module
  (memory (export "memory") 16)
  (func $spin
    (loop $forever
      br $forever))
  (start $spin)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
