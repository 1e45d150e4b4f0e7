//! Is one run better than another over the same topics?
//!
//! Student's paired t-test, Wilcoxon's signed-rank test, and the count of topics won, tied and lost.

/// Two runs compared over the topics that both have.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Topics where the first run is better.
    pub wins: usize,
    /// Topics where both have one value.
    pub ties: usize,
    /// Topics where the second run is better.
    pub losses: usize,
    /// The mean of first minus second.
    pub mean_difference: f64,
    /// Student's t, mean / (s / sqrt(n)), with n - 1 degrees of freedom; `None` for fewer than two topics or where all
    /// differences are one number.
    pub t: Option<Test>,
    /// Wilcoxon's statistic, the smaller sum of ranks; topics that tie are left out. `None` where all tie.
    pub wilcoxon: Option<Test>,
}

/// A test statistic with its two-sided probability under "no difference".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// The statistic.
    pub statistic: f64,
    /// The probability of a statistic at least as extreme.
    pub p: f64,
}

/// Compares values of two runs, topic by topic in one order.
///
/// Wilcoxon's p is exact up to 50 topics without equal absolute differences and without ties, and otherwise that of the
/// normal approximation with correction for equal differences, as in SciPy.
///
/// Errors: different numbers of topics, a value that is not finite.
pub fn compare(first: &[f64], second: &[f64]) -> Result<Comparison, String> {
    if first.len() != second.len() {
        return Err(format!("{} topics against {}", first.len(), second.len()));
    }
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    if let Some(place) = differences.iter().position(|difference| !difference.is_finite()) {
        return Err(format!("the values of topic {} are not both finite", place + 1));
    }
    let n = differences.len() as f64;
    let mean_difference = if differences.is_empty() { 0.0 } else { differences.iter().sum::<f64>() / n };
    let squares: f64 = differences.iter().map(|difference| (difference - mean_difference).powi(2)).sum();
    let t = (differences.len() > 1 && squares > 0.0).then(|| {
        let statistic = mean_difference / (squares / (n - 1.0) / n).sqrt();
        Test { statistic, p: student_two_sided(statistic, n - 1.0) }
    });
    Ok(Comparison {
        wins: differences.iter().filter(|&&difference| difference > 0.0).count(),
        ties: differences.iter().filter(|&&difference| difference == 0.0).count(),
        losses: differences.iter().filter(|&&difference| difference < 0.0).count(),
        mean_difference,
        t,
        wilcoxon: signed_ranks(&differences),
    })
}

fn signed_ranks(differences: &[f64]) -> Option<Test> {
    let mut sorted: Vec<f64> = differences.iter().copied().filter(|&difference| difference != 0.0).collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let count = sorted.len() as f64;
    let (mut positive, mut before, mut ties) = (0.0, 0.0, 0.0);
    for equal in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let size = equal.len() as f64;
        // Equal differences share the mean of their ranks.
        let rank = before + (size + 1.0) / 2.0;
        positive += rank * equal.iter().filter(|&&difference| difference > 0.0).count() as f64;
        ties += size * size * size - size;
        before += size;
    }
    let statistic = f64::min(positive, count * (count + 1.0) / 2.0 - positive);
    let p = if differences.len() <= 50 && sorted.len() == differences.len() && ties == 0.0 {
        exact_signed_rank_p(statistic as usize, sorted.len())
    } else {
        let variance = (count * (count + 1.0) * (2.0 * count + 1.0) - ties / 2.0) / 24.0;
        let z = (statistic - count * (count + 1.0) / 4.0) / variance.sqrt();
        (2.0 * normal_tail(-z)).min(1.0)
    };
    Some(Test { statistic, p })
}

/// Twice the share of the 2^n sign patterns whose positive ranks sum to at most `statistic`.
fn exact_signed_rank_p(statistic: usize, n: usize) -> f64 {
    let mut share = vec![0.0f64; n * (n + 1) / 2 + 1];
    share[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..share.len()).rev() {
            let with = if sum >= rank { share[sum - rank] } else { 0.0 };
            share[sum] = 0.5 * (share[sum] + with);
        }
    }
    (2.0 * share[..=statistic].iter().sum::<f64>()).min(1.0)
}

/// P(|T| >= |t|) for Student's distribution: the regularised incomplete beta function I_x(v/2, 1/2), x = v/(v + t^2).
fn student_two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// I_x(a, b) by its continued fraction (Lentz's method), on the side where it converges fast.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() + log_gamma(a + b) - log_gamma(a) - log_gamma(b)).exp() / a;
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * fraction
}

/// ln Γ(x) for x > 0: Stirling's series after shifting x above 15.
fn log_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 15.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// P(Z >= z) for the normal distribution: half the complementary error function of z / sqrt 2, by its series near 0 and
/// its continued fraction beyond.
fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z < 3.0 {
        let (mut term, mut sum, mut n) = (z, z, 1.0);
        while term > sum * 1e-17 {
            n += 2.0;
            term *= z * z / n;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    // Laplace's continued fraction, from its 100th level up.
    density / (1..100).rev().fold(z, |value, level| z + f64::from(level) / value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= 1e-10 * wanted.abs().max(1e-3), "{found} against {wanted}");
    }

    #[test]
    fn the_distributions_have_their_tabled_values() {
        // Student with 1 and 2 degrees of freedom in closed form: 1 - 2 atan(t) / pi and 1 - t / sqrt(2 + t^2).
        for t in [0.0, 0.3, 1.0, 2.5, 12.0, 300.0] {
            close(student_two_sided(t, 1.0), 1.0 - 2.0 * f64::atan(t) / std::f64::consts::PI);
            close(student_two_sided(-t, 2.0), 1.0 - t / (2.0 + t * t).sqrt());
        }
        close(normal_tail(0.0), 0.5);
        close(normal_tail(1.959963984540054), 0.025);
        close(normal_tail(3.090232306167813), 0.001);
        close(normal_tail(-1.2815515655446004), 0.9);
    }

    #[test]
    fn exact_ranks_count_sign_patterns() {
        // Of 8 patterns of three signs one has the sum 0, two have at most 1.
        close(exact_signed_rank_p(0, 3), 0.25);
        close(exact_signed_rank_p(1, 3), 0.5);
        close(exact_signed_rank_p(3, 3), 1.0);
    }

    #[test]
    fn degenerate_comparisons_have_no_statistic() {
        let none = compare(&[], &[]).unwrap();
        assert_eq!((none.t, none.wilcoxon, none.mean_difference), (None, None, 0.0));
        let equal = compare(&[0.5, 0.2], &[0.5, 0.2]).unwrap();
        assert_eq!((equal.ties, equal.t, equal.wilcoxon), (2, None, None));
        assert!(compare(&[1.0], &[]).is_err());
        assert!(compare(&[f64::NAN], &[0.0]).is_err());
    }
}
