//! The Debug Adapter Protocol without I/O.
