;; A component for another host altogether.
(component
  (import "vendor:broker/orders@1.0.0" (instance)))
