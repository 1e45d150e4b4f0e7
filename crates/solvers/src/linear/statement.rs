//! Problem files: a linear system and the wanted method, stated in TOML.
//!
//! ```toml
//! title = "Flow past a ball"              # optional
//!
//! [linear-system.grid]                    # the pressure equation on a grid ...
//! cells    = [64, 64, 64]                 # two or three extents
//! obstacle = "sphere"                     # or "none", or a file: .bits, or .npy with 0 fluid, 1 solid, 2 air
//! outside  = "open"                       # or "closed", or for each axis: { x = "open", y = ["closed", "open"], z = "open" }
//!
//! [linear-system]                         # ... or a sparse symmetric matrix
//! # matrix   = "matrix.mtx"               # Matrix Market, or .bin as in the released program of deep conjugate directions
//! right-side = "flow-past-obstacle"       # "point-source", "white-noise", "ones", or a file: .npy, .mtx, .bin
//! project    = false                      # take the nearest right side that has a solution
//! seed       = 0                          # of the white noise
//!
//! [method]                                # optional: what solves it, with its options
//! name = "multigrid"
//! ```

use mathesis_algebra::random::Sequence;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::files::{ReadError, arrays, matrix_market, released};
use super::grid::ball;
use super::{
    Cell, LinearError, Load, Matrix, Method, Outside, PressureGrid, SymmetricMatrix, System, options,
};
use crate::statement::{MethodPlaces, MethodTable, StatementError, document, nearest, one_of, read};

/// A problem file, read and checked.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The title, if the file gives one.
    pub title: Option<String>,
    /// The system.
    pub system: System,
    /// How it is to be solved.
    pub method: Method,
    /// How the system came about, for records.
    pub origin: Origin,
    places: Places,
}

/// What a problem file says of a system.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Origin {
    /// The matrix's file, for sparse matrices.
    pub matrix: Option<String>,
    /// The extents, for grids.
    pub cells: Option<Vec<usize>>,
    /// The obstacle, for grids.
    pub obstacle: Option<String>,
    /// What is beyond the lower and the upper face of each axis, for grids.
    pub outside: Option<Vec<[Outside; 2]>>,
    /// The right side.
    pub right_side: String,
    /// Whether it was to be projected onto the range.
    pub project: bool,
    /// The seed of white noise.
    pub seed: u64,
}

#[derive(Clone, Debug, Default)]
struct Places {
    system: Range<usize>,
    right_side: Range<usize>,
    method: MethodPlaces,
}

const AXES: [&str; 3] = ["x", "y", "z"];
const LOADS: &[&str] = &["flow-past-obstacle", "point-source", "white-noise", "ones"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileTables {
    title: Option<String>,
    linear_system: Spanned<SystemTable>,
    #[serde(rename = "method")]
    _method: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SystemTable {
    matrix: Option<Spanned<String>>,
    grid: Option<Spanned<GridTable>>,
    right_side: Option<Spanned<String>>,
    #[serde(default)]
    project: bool,
    #[serde(default)]
    seed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GridTable {
    cells: Option<Spanned<Vec<usize>>>,
    obstacle: Option<Spanned<String>>,
    outside: Option<Spanned<OutsideTable>>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum OutsideTable {
    All(Outside),
    Each(HashMap<String, Faces>),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Faces {
    Both(Outside),
    Each([Outside; 2]),
}

impl Statement {
    /// Reads a problem file; paths in it start from `folder`. With `method`, for another method than the file's: options of its
    /// `[method]` table count if they are of the same method, else the defaults do.
    ///
    /// # Errors
    /// [`StatementError`] with the place and the cause if the text is no well-stated system or a file that it names is not.
    pub fn parse(
        text: &str,
        folder: &Path,
        method: Option<&str>,
        seed: Option<u64>,
    ) -> Result<Statement, StatementError> {
        let FileTables { title, linear_system, .. } = read(text)?;
        let method_table = MethodTable::read(document(text)?.get_ref(), Method::NAMES, "auto", method)?;
        let method = read_method(&method_table, folder)?;
        let system = linear_system.span();
        let mut places = Places { right_side: system.clone(), system, method: method_table.places };
        let table = linear_system.into_inner();
        let seed = seed.unwrap_or(table.seed);
        let mut origin = Origin {
            matrix: None,
            cells: None,
            obstacle: None,
            outside: None,
            right_side: String::new(),
            project: table.project,
            seed,
        };
        let matrix = match (table.matrix, table.grid) {
            (Some(file), None) => {
                origin.matrix = Some(file.get_ref().clone());
                read_matrix(&file, folder)?
            }
            (None, Some(grid)) => Matrix::Grid(read_grid(grid, folder, &mut origin)?),
            (Some(file), Some(_)) => {
                return Err(StatementError::new("the system has both a matrix and a grid", file.span())
                    .expected("`matrix` or a table [linear-system.grid]"));
            }
            (None, None) => {
                return Err(StatementError::new("the system has neither a matrix nor a grid", places.system)
                    .expected("`matrix = \"file.mtx\"` or a table [linear-system.grid]"));
            }
        };
        if let Some(right_side) = &table.right_side {
            places.right_side = right_side.span();
        }
        let default = if matches!(matrix, Matrix::Grid(_)) { "flow-past-obstacle" } else { "ones" };
        let word = table.right_side.map_or(default.to_string(), Spanned::into_inner);
        let right_side = read_right_side(&word, &matrix, seed, folder, &places.right_side)?;
        origin.right_side = word;
        let system = System::new(matrix, right_side, table.project)
            .map_err(|error| complaint(&error, places.right_side.clone()))?;
        Ok(Statement { title, system, method, origin, places })
    }

    /// A refusal by a method as a complaint about the file, if the file is what is to blame.
    pub fn locate(&self, error: &LinearError) -> Option<StatementError> {
        let span = match error {
            LinearError::Option { key, .. } => self.places.method.option(key),
            LinearError::NotApplicable { .. } => self.places.method.method.clone(),
            LinearError::NotPositiveDefinite(_) => self.places.system.clone(),
            _ => return None,
        };
        Some(complaint(error, span))
    }
}

fn complaint(error: &LinearError, span: Range<usize>) -> StatementError {
    StatementError::new(error.to_string(), span)
}

/// The bytes of a file that the problem file names.
fn bytes(name: &str, folder: &Path, span: &Range<usize>) -> Result<Vec<u8>, StatementError> {
    std::fs::read(folder.join(name))
        .map_err(|error| StatementError::new(format!("cannot read {name}: {error}"), span.clone()))
}

fn text_of(bytes: Vec<u8>, name: &str, span: &Range<usize>) -> Result<String, StatementError> {
    String::from_utf8(bytes).map_err(|_| StatementError::new(format!("{name} is not a text"), span.clone()))
}

fn in_file(error: ReadError, name: &str, span: &Range<usize>) -> StatementError {
    let place = error.line.map_or(String::new(), |line| format!(", line {line}"));
    StatementError::new(format!("{name}{place}: {}", error.message), span.clone())
}

fn ending(name: &str) -> String {
    Path::new(name).extension().map_or(String::new(), |ending| ending.to_string_lossy().to_ascii_lowercase())
}

fn read_matrix(file: &Spanned<String>, folder: &Path) -> Result<Matrix, StatementError> {
    let (name, span) = (file.get_ref().as_str(), file.span());
    let content = bytes(name, folder, &span)?;
    let matrix = match ending(name).as_str() {
        "mtx" => matrix_market::read_matrix(&text_of(content, name, &span)?),
        "bin" => released::read_matrix(&content),
        _ => {
            return Err(StatementError::new(format!("{name} has no known ending"), span)
                .expected("a file .mtx (Matrix Market) or .bin (released program)"));
        }
    };
    let matrix = matrix.map_err(|error| in_file(error, name, &span))?;
    SymmetricMatrix::new(matrix)
        .map(Matrix::Sparse)
        .map_err(|error| StatementError::new(format!("{name}: {error}"), span))
}

fn read_grid(
    grid: Spanned<GridTable>,
    folder: &Path,
    origin: &mut Origin,
) -> Result<PressureGrid, StatementError> {
    let span = grid.span();
    let GridTable { cells, obstacle, outside } = grid.into_inner();
    let obstacle_span = obstacle.as_ref().map_or(span.clone(), Spanned::span);
    let obstacle = obstacle.map_or("none".to_string(), Spanned::into_inner);
    let shape_of = |cells: &Option<Spanned<Vec<usize>>>| match cells {
        Some(cells) => Ok(cells.get_ref().clone()),
        None => Err(StatementError::new("the grid has no `cells`", span.clone())
            .expected("cells = [64, 64, 64], or an obstacle in a .npy file")),
    };
    let cells_span = cells.as_ref().map_or(span.clone(), Spanned::span);
    let (shape, list) = match (obstacle.as_str(), ending(&obstacle).as_str()) {
        ("none", _) => {
            let shape = shape_of(&cells)?;
            // The grid itself refuses shapes that are none.
            let count =
                shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n)).filter(|&n| n < 1 << 31);
            (shape, vec![Cell::Fluid; count.unwrap_or(0)])
        }
        ("sphere", _) => {
            let shape = shape_of(&cells)?;
            let list = ball(&shape).map_err(|error| complaint(&error, cells_span.clone()))?;
            (shape, list)
        }
        (file, "bits") => {
            let shape = shape_of(&cells)?;
            let list = arrays::read_bits(&bytes(file, folder, &obstacle_span)?, &shape)
                .map_err(|error| in_file(error, file, &obstacle_span))?;
            (shape, list)
        }
        (file, "npy") => {
            let (shape, list) = arrays::read_cells(&bytes(file, folder, &obstacle_span)?)
                .map_err(|error| in_file(error, file, &obstacle_span))?;
            if let Some(stated) = cells.as_ref().filter(|stated| *stated.get_ref() != shape) {
                return Err(StatementError::new(
                    format!("`cells` is {:?}, but {file} has {shape:?} cells", stated.get_ref()),
                    cells_span,
                ));
            }
            (shape, list)
        }
        (word, _) => {
            return Err(StatementError::new(format!("there is no obstacle `{word}`"), obstacle_span)
                .expected("`none`, `sphere`, or a file .bits or .npy")
                .suggest(nearest(word, ["none", "sphere"])));
        }
    };
    let faces = faces(outside, shape.len())?;
    origin.cells = Some(shape.clone());
    origin.obstacle = Some(obstacle);
    origin.outside = Some(faces.clone());
    PressureGrid::new(&shape, list, &faces).map_err(|error| complaint(&error, cells_span))
}

fn faces(
    outside: Option<Spanned<OutsideTable>>,
    dimension: usize,
) -> Result<Vec<[Outside; 2]>, StatementError> {
    let Some(outside) = outside else { return Ok(vec![[Outside::Open; 2]; dimension]) };
    let span = outside.span();
    match outside.into_inner() {
        OutsideTable::All(outside) => Ok(vec![[outside; 2]; dimension]),
        OutsideTable::Each(axes) => {
            let names = &AXES[..dimension.min(3)];
            if let Some(wrong) = axes.keys().find(|name| !names.contains(&name.as_str())) {
                return Err(StatementError::new(format!("the grid has no axis `{wrong}`"), span)
                    .expected(one_of(names)));
            }
            Ok(names
                .iter()
                .map(|name| match axes.get(*name) {
                    None => [Outside::Open; 2],
                    Some(Faces::Both(outside)) => [*outside; 2],
                    Some(Faces::Each(faces)) => *faces,
                })
                .collect())
        }
    }
}

fn read_right_side(
    word: &str,
    matrix: &Matrix,
    seed: u64,
    folder: &Path,
    span: &Range<usize>,
) -> Result<Vec<f64>, StatementError> {
    let n = matrix.operator().dimension();
    let load = match word {
        "flow-past-obstacle" => Some(Load::FlowPastObstacle),
        "point-source" => Some(Load::PointSource),
        "white-noise" => Some(Load::WhiteNoise),
        _ => None,
    };
    match (load, matrix, word) {
        (Some(load), Matrix::Grid(grid), _) => return Ok(grid.right_side(load, seed)),
        (Some(Load::WhiteNoise), Matrix::Sparse(_), _) => {
            let mut normal = Sequence::new(seed);
            let mut b = (0..n).map(|_| normal.normal()).collect::<Vec<f64>>();
            matrix.null_space().project(&mut b);
            return Ok(b);
        }
        (Some(_), Matrix::Sparse(_), _) => {
            return Err(StatementError::new(format!("`{word}` is a right side for grids"), span.clone())
                .expected("`ones`, `white-noise` or a file"));
        }
        (None, Matrix::Grid(grid), "ones") => {
            let mut b = vec![1.0; n];
            grid.mask(&mut b);
            return Ok(b);
        }
        (None, Matrix::Sparse(_), "ones") => return Ok(vec![1.0; n]),
        _ => {}
    }
    let known = ending(word);
    if !matches!(known.as_str(), "mtx" | "npy" | "bin") {
        return Err(StatementError::new(format!("there is no right side `{word}`"), span.clone())
            .expected(format!("{}, or a file .npy, .mtx or .bin", one_of(LOADS)))
            .suggest(nearest(word, LOADS.iter().copied())));
    }
    let content = bytes(word, folder, span)?;
    let values = match known.as_str() {
        "mtx" => matrix_market::read_array(&text_of(content, word, span)?).map(|array| array.values),
        "npy" => arrays::read_npy(&content).map(|array| array.values),
        _ => released::read_right_side(&content),
    };
    values.map_err(|error| in_file(error, word, span))
}

fn read_method(table: &MethodTable<'_>, folder: &Path) -> Result<Method, StatementError> {
    Ok(match table.name.as_str() {
        "conjugate-gradient" => Method::ConjugateGradient(table.options()?),
        "jacobi" => Method::Jacobi(table.options()?),
        "incomplete-cholesky" => Method::IncompleteCholesky(table.options()?),
        "modified-incomplete-cholesky" => Method::ModifiedIncompleteCholesky(table.options()?),
        "multigrid" => Method::Multigrid(table.options()?),
        "algebraic-multigrid" => Method::AlgebraicMultigrid(table.options()?),
        "deflated" => Method::Deflated(table.options()?),
        "cholesky" => Method::Cholesky(table.options()?),
        "deep-conjugate-directions" => {
            let mut options: options::DeepConjugateDirections = table.options()?;
            options.network = options.network.map(|file| folder.join(file));
            Method::DeepConjugateDirections(options)
        }
        _ => Method::Auto(table.options()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Statement, StatementError> {
        Statement::parse(text, Path::new("."), None, None)
    }

    const GRID: &str = "[linear-system.grid]\ncells = [6, 5, 4]\nobstacle = \"sphere\"\n";

    #[test]
    fn a_grid_with_its_method() {
        let text = format!(
            "title = \"t\"\n{GRID}outside = {{ x = \"closed\", z = [\"closed\", \"open\"] }}\n[linear-system]\n\
             right-side = \"white-noise\"\nseed = 4\n[method]\nname = \"multigrid\"\nsmoothing = 3\n"
        );
        let statement = parse(&text).unwrap();
        let Matrix::Grid(grid) = statement.system.matrix() else { panic!("a grid") };
        assert_eq!(grid.shape(), [6, 5, 4]);
        use Outside::{Closed, Open};
        assert_eq!(grid.outside(), [[Closed; 2], [Open; 2], [Closed, Open]]);
        assert!(grid.fluid_cells() < 120);
        assert!(matches!(statement.method, Method::Multigrid(options::Multigrid { smoothing: 3, .. })));
        assert_eq!(statement.system.right_side(), grid.right_side(Load::WhiteNoise, 4));
        let other = Statement::parse(&text, Path::new("."), Some("jacobi"), Some(5)).unwrap();
        assert_eq!(other.method.name(), "jacobi");
        assert_ne!(other.system.right_side(), statement.system.right_side());
    }

    #[test]
    fn files_are_read_from_the_folder() {
        let folder = std::env::temp_dir().join(format!("linear-statement-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let matrix = "%%MatrixMarket matrix coordinate real symmetric\n2 2 3\n1 1 2\n2 1 -1\n2 2 2\n";
        std::fs::write(folder.join("a.mtx"), matrix).unwrap();
        std::fs::write(folder.join("b.mtx"), "%%MatrixMarket matrix array real general\n2 1\n1\n2\n")
            .unwrap();
        std::fs::write(folder.join("o.bits"), [0b0110_u8]).unwrap();
        let text = "[linear-system]\nmatrix = \"a.mtx\"\nright-side = \"b.mtx\"\n";
        let statement = Statement::parse(text, &folder, None, None).unwrap();
        assert_eq!(statement.system.right_side(), [1.0, 2.0]);
        let text = "[linear-system.grid]\ncells = [2, 2]\nobstacle = \"o.bits\"\n";
        let statement = Statement::parse(text, &folder, None, None).unwrap();
        assert_eq!(statement.system.matrix().unknowns(), 2);
        std::fs::write(folder.join("a.mtx"), matrix.replace("2 1 -1", "2 3 -1")).unwrap();
        let broken = "[linear-system]\nmatrix = \"a.mtx\"\n";
        let error = Statement::parse(broken, &folder, None, None).unwrap_err();
        assert!(error.message.starts_with("a.mtx, line 4:"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn complaints_point_at_their_place() {
        for (text, at, part) in [
            (format!("{GRID}cellz = 1\n"), "cellz", "cellz"),
            (GRID.replace("sphere", "spere"), "\"spere\"", "no obstacle"),
            (GRID.replace("[6, 5, 4]", "[6]"), "[6]", "two or three extents"),
            (format!("{GRID}outside = \"ajar\"\n"), "\"ajar\"", ""),
            (format!("{GRID}[linear-system]\nright-side = \"point\"\n"), "\"point\"", "no right side"),
            (format!("{GRID}[linear-system]\nmatrix = \"a.mtx\"\n"), "\"a.mtx\"", "both"),
            (format!("{GRID}[method]\nname = \"multigird\"\n"), "\"multigird\"", "no method"),
            (format!("{GRID}[method]\nname = \"jacobi\"\nsmoothing = 2\n"), "smoothing", "no option"),
            ("[linear-system]\nmatrix = \"absent.mtx\"\n".into(), "\"absent.mtx\"", "cannot read"),
            ("[linear-system]\nseed = 2\n".into(), "", "neither"),
            (
                format!("{GRID}outside = \"closed\"\n[linear-system]\nright-side = \"ones\"\n"),
                "\"ones\"",
                "no solution",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.message.contains(part), "{error:?}");
            if !at.is_empty() {
                assert_eq!(&text[error.span.clone()], at, "{error:?}");
            }
        }
        let text = format!("{GRID}[method]\nname = \"multigrid\"\nsmoothing = 0\n");
        let statement = parse(&text).unwrap();
        let error =
            super::super::solve(&statement.system, &statement.method, None, &mut crate::Silent).unwrap_err();
        let located = statement.locate(&error).unwrap();
        assert_eq!(&text[located.span], "0");
    }
}
