//! Training as a whole: what it learns, what it masks, and that it goes on bit by bit.

mod course;
mod model;
mod resume;
