;; Consumes the whole batch of two-word events: what a call costs by itself.
(module
  (memory (export "memory") 16)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    local.get $count
    i32.const 2
    i32.div_u)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
