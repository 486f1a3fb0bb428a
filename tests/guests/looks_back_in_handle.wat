;; Asks for candles inside `handle`, where the host may already be further on.
(module
  (import "sandpaper:strategy/history@0.1.0" "candles"
    (func $candles (param $symbol i32) (param $interval i32) (param $newest i32) (param $result i32)))
  (memory (export "memory") 16)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    (call $candles (i32.const 0) (i32.const 60) (i32.const 3) (i32.const 4096))
    ;; Refuses, unless three candles came.
    (i32.store8 (i32.const 2048) (i32.ne (i32.load (i32.const 4100)) (i32.const 3)))
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    (call $candles (i32.const 0) (i32.const 60) (i32.const 3) (i32.const 4096))
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
