//! The wasmtime host: load, limits, calls, faults.
