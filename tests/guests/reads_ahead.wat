;; Buys when the next trade of its batch has a higher price than the one that it
;; is called for. With one event a call it has nothing to read ahead in.
(module
  (import "sandpaper:strategy/trading@0.1.0" "submit"
    (func $submit (param $order i32) (param $result i32)))
  (memory (export "memory") 16)
  ;; The description at 1024: one subscription at 600, trades of every symbol.
  (data (i32.const 1048) "\58\02\00\00\01\00\00\00")
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
    ;; A trade is five words, its price the third.
    (if (i32.ge_u (local.get $count) (i32.const 10))
      (then
        (if (f64.gt
              (f64.load offset=56 (local.get $words))
              (f64.load offset=16 (local.get $words)))
          (then (call $submit (i32.const 4096) (i32.const 5120))))))
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
