//! The recipe `aops-live` on an archive that is written here, with planted truth; the acceptance figures on shared data.

mod archive;
mod decisions;
mod figures;
mod stages;
