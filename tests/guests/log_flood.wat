;; Logs ten thousand lines of a hundred bytes in one call.
(module
  (import "sandpaper:strategy/report@0.1.0" "log"
    (func $log (param $level i32) (param $at i32) (param $bytes i32)))
  (memory (export "memory") 16)
  (data (i32.const 512)
    "01234567890123456789012345678901234567890123456789"
    "01234567890123456789012345678901234567890123456789")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 10000))
    (loop $more
      (call $log (i32.const 2) (i32.const 512) (i32.const 100))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
