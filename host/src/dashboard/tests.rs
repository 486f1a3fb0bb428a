//! The server as a client sees it, without a program around it.
