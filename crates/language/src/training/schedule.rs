//! The learning rate over the steps of a training: a linear warm-up, then one of three courses.

use serde::{Deserialize, Serialize};

/// The course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// Half a cosine wave from the peak down to the final rate (Loshchilov and Hutter, 2017).
    #[default]
    Cosine,
    /// Warm-up, stable, decay (Hu and others, 2024): at the peak until the last part, then down in a straight line.
    #[serde(rename = "wsd")]
    WarmupStableDecay,
    /// At the peak to the end.
    Constant,
}

/// The learning rate as a function of the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// What comes after the warm-up.
    pub course: Course,
    /// The highest learning rate.
    pub peak: f64,
    /// The last learning rate, as a part of the highest.
    pub final_part: f64,
    /// Steps over which the rate rises from 0 to its peak.
    pub warmup: u64,
    /// The part of all steps over which [`Course::WarmupStableDecay`] decays.
    pub decay: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule { course: Course::Cosine, peak: 1e-3, final_part: 0.1, warmup: 20, decay: 0.2 }
    }
}

impl Schedule {
    /// The learning rate of a step of so many, both counted from 1.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step <= self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let last = self.peak * self.final_part;
        // At its top this is the peak to the last bit.
        let down = |part: f64| self.peak - (self.peak - last) * (1.0 - part);
        match self.course {
            Course::Constant => self.peak,
            Course::Cosine => {
                let part = (step - self.warmup) as f64 / steps.saturating_sub(self.warmup).max(1) as f64;
                down(0.5 * (1.0 + (std::f64::consts::PI * part.min(1.0)).cos()))
            }
            Course::WarmupStableDecay => {
                let length = (self.decay * steps as f64).max(1.0);
                let left = steps.saturating_sub(step) as f64;
                down((left / length).min(1.0))
            }
        }
    }

    /// The option that is out of range, with its value and what is expected.
    pub(super) fn wrong(&self) -> Option<(&'static str, String, &'static str)> {
        let rate = |x: f64| x > 0.0 && x <= 1.0;
        let part = |x: f64| (0.0..=1.0).contains(&x);
        match self {
            _ if !rate(self.peak) => Some(("peak", self.peak.to_string(), "a rate above 0 and up to 1")),
            _ if !part(self.final_part) => {
                Some(("final-part", self.final_part.to_string(), "a part from 0 to 1"))
            }
            _ if !part(self.decay) => Some(("decay", self.decay.to_string(), "a part from 0 to 1")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_courses_go_through_their_corners() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let schedule = |course| Schedule { course, peak: 0.02, final_part: 0.1, warmup: 10, decay: 0.25 };
        for course in [Course::Cosine, Course::WarmupStableDecay, Course::Constant] {
            let schedule = schedule(course);
            near(schedule.rate(1, 110), 0.002);
            near(schedule.rate(5, 110), 0.01);
            near(schedule.rate(10, 110), 0.02);
            let rates: Vec<f64> = (10..=110).map(|step| schedule.rate(step, 110)).collect();
            assert!(rates.is_sorted_by(|a, b| a >= b));
        }
        near(schedule(Course::Cosine).rate(60, 110), 0.011);
        near(schedule(Course::Cosine).rate(110, 110), 0.002);
        near(schedule(Course::WarmupStableDecay).rate(75, 100), 0.02);
        near(schedule(Course::WarmupStableDecay).rate(90, 100), 0.002 + 0.018 * 0.4);
        near(schedule(Course::WarmupStableDecay).rate(100, 100), 0.002);
        near(schedule(Course::Constant).rate(100, 100), 0.02);
        // No warm-up, and a warm-up that is longer than the training.
        near(Schedule { warmup: 0, ..schedule(Course::Cosine) }.rate(1, 1), 0.002);
        near(Schedule { warmup: 100, ..schedule(Course::Cosine) }.rate(50, 50), 0.01);
    }
}
