//! Models and the call layer from outside: against servers on loopback, kept, killed, limited and capped.

mod calls;
mod killed;
mod limits;
mod money;
mod open_ai;
mod server;
