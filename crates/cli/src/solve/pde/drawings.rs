//! The drawings of a solved differential equation.

use mathesis_solvers::pde::{HistoryPoint, Problem, Solution, SolveError};

use super::frequencies::true_frequencies;
use super::samples::Samples;
use crate::failure::Failure;
use crate::outcome::Figure;
use crate::report::plots::{self, Curve, HeatMap, Ink, Panel};

const SOLUTION: &str = "Solution";
const COURSE: &str = "Course of the solve";
const SPECTRUM: &str = "Learned spectrum";

/// All drawings of a solution.
///
/// # Errors
/// If an expression cannot be evaluated or a drawing fails.
pub fn figures(problem: &Problem, solution: &Solution, samples: &Samples) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    let detail = samples.window().map(|window| zoom(problem, solution, samples, &window)).transpose();
    let detail = detail.map_err(Failure::work)?;
    for unknown in 0..problem.unknowns.len() {
        match problem.dimension() {
            1 => curves(problem, samples, detail.as_ref(), unknown, &mut figures)?,
            2 => maps(problem, samples, detail.as_ref(), unknown, &mut figures)?,
            _ => slices(problem, samples, unknown, &mut figures)?,
        }
    }
    course(solution, &mut figures)?;
    spectra(problem, solution, &mut figures)?;
    Ok(figures)
}

fn zoom(
    problem: &Problem,
    solution: &Solution,
    samples: &Samples,
    window: &[(f64, f64)],
) -> Result<Samples, SolveError> {
    let axes = window
        .iter()
        .zip(samples.shape())
        .map(|(&(lower, upper), count)| {
            let count = count.min(601);
            (0..count).map(|i| lower + (upper - lower) * i as f64 / (count - 1) as f64).collect()
        })
        .collect();
    Samples::on(problem, solution, axes)
}

fn curves(
    problem: &Problem,
    samples: &Samples,
    detail: Option<&Samples>,
    unknown: usize,
    figures: &mut Vec<Figure>,
) -> Result<(), Failure> {
    let name = problem.unknowns[unknown].name();
    let axis = problem.axes[0].name.name().to_string();
    let points = |samples: &Samples, values: &[f64]| -> Vec<(f64, f64)> {
        samples.axes[0].iter().copied().zip(values.iter().copied()).collect()
    };
    let panel = |samples: &Samples, title: String| {
        let mut curves = Vec::new();
        if let Some(truth) = &samples.truth {
            let points = points(samples, &truth[unknown]);
            curves.push(Curve { name: "exact".to_string(), ink: Ink::Truth, points });
        }
        let points = points(samples, &samples.values[unknown]);
        curves.push(Curve { name: "computed".to_string(), ink: Ink::Solution, points });
        Panel { title, horizontal: axis.clone(), logarithmic: false, curves }
    };
    let mut panels = vec![panel(samples, format!("{name}({axis})"))];
    panels.extend(detail.map(|detail| panel(detail, format!("{name}({axis}), detail"))));
    figures.push(Figure {
        name: format!("solution-{name}"),
        section: SOLUTION,
        caption: match (&samples.truth, detail) {
            (Some(_), None) => "The computed solution on the exact one.".to_string(),
            (Some(_), Some(_)) => {
                "The computed solution on the exact one: the whole interval, and a few oscillations."
                    .to_string()
            }
            (None, None) => "The computed solution.".to_string(),
            (None, Some(_)) => {
                "The computed solution: the whole interval, and a few oscillations.".to_string()
            }
        },
        drawings: vec![plots::panels(&panels)?],
    });
    let mut panels = Vec::new();
    if let Some(error) = samples.error(unknown) {
        let points = points(samples, &error);
        let curves = vec![Curve { name: "error".to_string(), ink: Ink::Error, points }];
        let title = format!("absolute error of {name}");
        panels.push(Panel { title, horizontal: axis.clone(), logarithmic: true, curves });
    }
    if unknown == 0 {
        let points = points(samples, &samples.residual);
        let curves = vec![Curve { name: "residual".to_string(), ink: Ink::Residual, points }];
        let title = "absolute residual of the equation".to_string();
        panels.push(Panel { title, horizontal: axis, logarithmic: true, curves });
    }
    if !panels.is_empty() {
        figures.push(Figure {
            name: format!("error-{name}"),
            section: SOLUTION,
            caption: if samples.truth.is_some() {
                "Pointwise, on a fine grid that is not the method's own.".to_string()
            } else {
                "Pointwise residual, on a fine grid that is not the method's own.".to_string()
            },
            drawings: vec![plots::panels(&panels)?],
        });
    }
    Ok(())
}

/// The maps of one unknown on a two-dimensional grid: solution, truth and error, or solution and residual.
struct MapSet<'a> {
    name: &'a str,
    axis_names: [String; 2],
    axes: [&'a [f64]; 2],
    values: Vec<f64>,
    truth: Option<Vec<f64>>,
    residual: Vec<f64>,
}

impl MapSet<'_> {
    fn draw(&self, place: &str) -> Result<Vec<String>, Failure> {
        let map = |title: String, values: &[f64], logarithmic: bool, range| {
            HeatMap {
                title,
                names: self.axis_names.clone(),
                axes: self.axes,
                values: values.to_vec(),
                logarithmic,
                range,
            }
            .draw()
        };
        let name = self.name;
        match &self.truth {
            None => Ok(vec![
                map(format!("{name}{place}"), &self.values, false, None)?,
                map("absolute residual".to_string(), &self.residual, true, None)?,
            ]),
            Some(truth) => {
                let error: Vec<f64> = self.values.iter().zip(truth).map(|(v, t)| (v - t).abs()).collect();
                let (low, high) = truth
                    .iter()
                    .filter(|value| value.is_finite())
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
                let range = (low < high).then_some((low, high));
                Ok(vec![
                    map(format!("{name}{place}, computed"), &self.values, false, range)?,
                    map(format!("{name}{place}, exact"), truth, false, range)?,
                    map("absolute error".to_string(), &error, true, None)?,
                ])
            }
        }
    }
}

fn maps(
    problem: &Problem,
    samples: &Samples,
    detail: Option<&Samples>,
    unknown: usize,
    figures: &mut Vec<Figure>,
) -> Result<(), Failure> {
    let name = problem.unknowns[unknown].name();
    let draw = |samples: &Samples| {
        MapSet {
            name,
            axis_names: [0, 1].map(|k| problem.axes[k].name.name().to_string()),
            axes: [&samples.axes[0], &samples.axes[1]],
            values: samples.values[unknown].clone(),
            truth: samples.truth.as_ref().map(|truth| truth[unknown].clone()),
            residual: samples.residual.clone(),
        }
        .draw("")
    };
    let what =
        if samples.truth.is_some() { "Computed, exact, and the error" } else { "Solution and residual" };
    figures.push(Figure {
        name: format!("solution-{name}"),
        section: SOLUTION,
        caption: format!("{what} (logarithmic colours), on the whole box."),
        drawings: draw(samples)?,
    });
    if let Some(detail) = detail {
        figures.push(Figure {
            name: format!("detail-{name}"),
            section: SOLUTION,
            caption: "A few oscillations around the middle.".to_string(),
            drawings: draw(detail)?,
        });
    }
    Ok(())
}

fn slices(
    problem: &Problem,
    samples: &Samples,
    unknown: usize,
    figures: &mut Vec<Figure>,
) -> Result<(), Failure> {
    let name = problem.unknowns[unknown].name();
    let shape = samples.shape();
    for fixed in (0..3).rev() {
        let kept: Vec<usize> = (0..3).filter(|k| *k != fixed).collect();
        let middle = shape[fixed] / 2;
        let cut = |values: &[f64]| -> Vec<f64> {
            let mut slice = Vec::with_capacity(shape[kept[0]] * shape[kept[1]]);
            for i in 0..shape[kept[0]] {
                for j in 0..shape[kept[1]] {
                    let mut index = [middle; 3];
                    index[kept[0]] = i;
                    index[kept[1]] = j;
                    slice.push(values[(index[0] * shape[1] + index[1]) * shape[2] + index[2]]);
                }
            }
            slice
        };
        let coordinate = samples.axes[fixed][middle];
        let fixed_name = problem.axes[fixed].name.name();
        let set = MapSet {
            name,
            axis_names: [kept[0], kept[1]].map(|k| problem.axes[k].name.name().to_string()),
            axes: [&samples.axes[kept[0]], &samples.axes[kept[1]]],
            values: cut(&samples.values[unknown]),
            truth: samples.truth.as_ref().map(|truth| cut(&truth[unknown])),
            residual: cut(&samples.residual),
        };
        figures.push(Figure {
            name: format!("slice-{name}-{fixed_name}"),
            section: SOLUTION,
            caption: format!(
                "The slice {fixed_name} = {} through the middle.",
                crate::record::figure(coordinate)
            ),
            drawings: set.draw("")?,
        });
    }
    Ok(())
}

fn course(solution: &Solution, figures: &mut Vec<Figure>) -> Result<(), Failure> {
    if solution.history.len() < 2 {
        return Ok(());
    }
    let panel = |horizontal: &str, place: &dyn Fn(&HistoryPoint) -> f64| {
        let curve = |name: &str, ink, value: &dyn Fn(&HistoryPoint) -> Option<f64>| Curve {
            name: name.to_string(),
            ink,
            points: solution.history.iter().filter_map(|point| Some((place(point), value(point)?))).collect(),
        };
        let curves = [
            curve("residual (root mean square)", Ink::Residual, &|point| point.residual),
            curve("relative error", Ink::Error, &|point| point.error),
        ];
        Panel {
            title: format!("against {horizontal}"),
            horizontal: horizontal.to_string(),
            logarithmic: true,
            curves: curves.into_iter().filter(|curve| curve.points.len() > 1).collect(),
        }
    };
    let panels =
        [panel("iterations", &|point| point.iteration as f64), panel("seconds", &|point| point.seconds)];
    if panels.iter().any(|panel| panel.curves.is_empty()) {
        return Ok(());
    }
    figures.push(Figure {
        name: "history".to_string(),
        section: COURSE,
        caption: "Residual and error while the method worked.".to_string(),
        drawings: vec![plots::panels(&panels)?],
    });
    Ok(())
}

fn spectra(problem: &Problem, solution: &Solution, figures: &mut Vec<Figure>) -> Result<(), Failure> {
    for spectrum in &solution.spectra {
        let name = problem.unknowns[spectrum.unknown].name();
        let axis = problem.axes[spectrum.axis].name.name();
        let truth = true_frequencies(problem, spectrum.unknown, spectrum.axis).map_err(Failure::work)?;
        let components: Vec<(f64, f64)> =
            spectrum.components.iter().map(|component| (component.frequency, component.weight)).collect();
        figures.push(Figure {
            name: format!("spectrum-{name}-{axis}"),
            section: SPECTRUM,
            caption: match truth.as_slice() {
                [] => format!("Frequencies of {name} along {axis} with their weights."),
                truth => {
                    let listed: Vec<String> = truth.iter().take(6).map(|f| format!("{f:.3}")).collect();
                    format!(
                        "Frequencies of {name} along {axis} with their weights. The exact solution has {}{}.",
                        listed.join(", "),
                        if truth.len() > 6 { " and more" } else { "" }
                    )
                }
            },
            drawings: vec![plots::spectrum(&format!("{name} along {axis}"), &components, &truth)?],
        });
    }
    Ok(())
}
