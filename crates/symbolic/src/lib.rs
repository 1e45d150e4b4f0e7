//! Exact mathematics: expressions over arbitrary-precision rationals, their parsing, printing,
//! simplification and calculus, and the compiled evaluator that carries them into f64 arrays.
