//! Linear operators with declared structure.
