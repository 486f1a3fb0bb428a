;; Does what the SDK's panic hook does: logs the message as an error, then traps.
;; Before that it sends an order, which must not happen.
(module
  (import "sandpaper:strategy/report@0.1.0" "log"
    (func $log (param $level i32) (param $at i32) (param $bytes i32)))
  (import "sandpaper:strategy/trading@0.1.0" "submit"
    (func $submit (param $order i32) (param $result i32)))
  (memory (export "memory") 16)
  (data (i32.const 512) "panicked at src/lib.rs:7: no such level")
  ;; The order at 4096: buy one base unit of symbol 0 at the market.
  (data (i32.const 4112) "\00\00\00\00\00\00\f0\3f")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    (call $submit (i32.const 4096) (i32.const 5120))
    (call $log (i32.const 4) (i32.const 512) (i32.const 39))
    unreachable)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
