;; An order whose metadata is a list of ten thousand aliases of the same text:
;; little memory in the guest, much in the host.
(module
  (import "sandpaper:strategy/trading@0.1.0" "submit"
    (func $submit (param $order i32) (param $result i32)))
  (memory (export "memory") 16)
  ;; The order at 4096: buy one base unit of symbol 0 at the market.
  (data (i32.const 4112) "\00\00\00\00\00\00\f0\3f")
  ;; The list at 8192: its length is set in the order, its entries by the loop.
  (data (i32.const 4192) "\00\20\00\00\10\27\00\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    (local $at i32)
    (local.set $at (i32.const 8192))
    (loop $more
      (i32.store offset=4 (local.get $at) (i32.const 60000))
      (i32.store offset=12 (local.get $at) (i32.const 60000))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $more (i32.lt_u (local.get $at) (i32.const 168192))))
    (call $submit (i32.const 4096) (i32.const 5120))
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))
