;; Exports every name that the contract asks for, with the wrong types.
(component
  (core module $module
    (func (export "nothing")))
  (core instance $core (instantiate $module))
  (func $nothing (canon lift (core func $core "nothing")))
  (export "describe" (func $nothing))
  (export "start" (func $nothing))
  (export "handle" (func $nothing))
  (export "on-order" (func $nothing))
  (export "stop" (func $nothing))
  (export "save" (func $nothing))
  (export "load" (func $nothing)))
