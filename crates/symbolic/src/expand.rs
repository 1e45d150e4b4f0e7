//! Multiplying out.

use crate::Expr;

impl Expr {
    /// This.
    pub fn expand(&self) -> Expr {
        self.clone()
    }
}
