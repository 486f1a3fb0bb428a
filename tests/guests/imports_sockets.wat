;; A component that imports sockets, in the form that links against anything: the
;; interface by its name, with no function declared.
(component
  (import "wasi:sockets/tcp@0.2.0" (instance)))
