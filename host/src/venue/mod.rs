//! Exchange protocols without I/O: text in, market events out.
