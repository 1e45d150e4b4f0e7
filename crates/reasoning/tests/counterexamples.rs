//! The rule stage of the counterexample recipe on proofs that are made by rules: 100 proofs by counterexample among 2,000
//! others, from each of three sets of forms. The phrases were chosen with the first set in view; the second was written
//! apart from them, gave a recall of .87, and led to one phrase more; the third was written after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mathesis_reasoning::models::calls::{Calls, Log, Options};
use mathesis_reasoning::models::{Sample, Sampling, ScriptedModel};
use mathesis_reasoning::recipes::counterexamples::{
    Proof, THRESHOLD, estimated_tokens, export, find, requests, select,
};

/// Forms of proofs by counterexample: statement and proof, `{n}` and `{x}` being filled in.
const BY_COUNTEREXAMPLE: [[(&str, &str); 8]; 3] = [
    [
        (
            "Not every continuous function on [0, {n}] is differentiable.",
            "Consider the function f(x) = |x - {n}/2|. It is continuous on [0, {n}], but it has no derivative at the midpoint.",
        ),
        (
            "A bounded sequence need not converge.",
            "Take a_k = {n}·(-1)^k. The sequence is bounded by {n}, yet it does not converge, since it has two limit points.",
        ),
        (
            "The converse of the theorem on absolutely convergent series is false.",
            "The series with terms {n}(-1)^k/k is a counterexample: it converges by the Leibniz test, while the series of absolute values diverges.",
        ),
        (
            "There exists a ring with {n} or more elements that is not commutative.",
            "Let R be the ring of 2 by 2 matrices over the integers modulo {n}. The matrix units satisfy E12 E21 = E11 but E21 E12 = E22, so that R is not commutative.",
        ),
        (
            "If a product of two functions is integrable, both factors are integrable.",
            "The statement is false. Put f = g = {n} on the rationals and -{n} elsewhere; then fg is the constant {n}^2, although f is not Riemann integrable.",
        ),
        (
            "Every closed set is compact.",
            "This does not hold in general. For instance, the set of all multiples of {n} in R is closed but not bounded, hence it is not compact.",
        ),
        (
            "The union of two subgroups is not necessarily a subgroup.",
            "Take the subgroups 2Z and {n}Z of Z. Their union contains 2 and {n} but not their sum, so it is not closed under addition.",
        ),
        (
            "Pointwise limits of continuous functions may fail to be continuous.",
            "Define f_k(x) = x^(k+{n}) on [0, 1]. Every f_k is continuous, however the limit is not continuous at 1.",
        ),
    ],
    [
        (
            "A function with a directional derivative in every direction is continuous.",
            "To refute the claim, consider f(x, y) = {n} x^2 y/(x^4 + y^2) with f(0, 0) = 0. Along y = x^2 its value is {n}/2, so it is not continuous at the origin although all directional derivatives exist.",
        ),
        (
            "A connected space need not be path connected.",
            "The closed topologist's sine curve with frequency {n} is a standard counterexample: it is connected, but no path joins the two parts.",
        ),
        (
            "There is a metric space with {n} marked points that is bounded but not totally bounded.",
            "Consider the set of unit vectors e_k in l^2 and add {n} marked points. All distances between the e_k are the root of two, so the set is bounded; but it is not totally bounded.",
        ),
        (
            "Every group of order {n}00 is cyclic.",
            "The claim fails for the direct product of two cyclic groups of order 10 with a group of order {n}: no element has the order of the group.",
        ),
        (
            "Uniform continuity does not follow from continuity.",
            "Take f(x) = {n}x^2 on R. It is continuous, but the difference f(x + 1/x) - f(x) is at least 2·{n}, hence it is not uniformly continuous.",
        ),
        (
            "If f' vanishes at a point, then f has an extremum there.",
            "The converse of Fermat's theorem is not true: let f(x) = {n}x^3. Here f'(0) = 0, but f has neither a maximum nor a minimum at 0.",
        ),
        (
            "An infinite product of discrete spaces is not always discrete.",
            "Let X be the product of countably many copies of a discrete space with {n} points. Every basic open set restricts finitely many coordinates only, so a single point is not open and X is not discrete.",
        ),
        ("若数列有界，则它收敛。", "考虑数列 a_k = {n}(-1)^k。它有界，但不收敛，所以命题不成立。"),
    ],
    [
        (
            "Every {n}-times differentiable function is analytic.",
            "Let f(x) = exp(-{n}/x^2) for x != 0 and f(0) = 0. All derivatives vanish at 0, but the Taylor series does not represent f near 0. So the statement is wrong.",
        ),
        (
            "If the limit of a_k is 0, then the series of the a_k converges.",
            "The harmonic series, multiplied by {n}, disproves this: its terms tend to 0, while its partial sums are not bounded.",
        ),
        (
            "There exists a nonempty perfect set of measure 0 in [0, {n}] that is not an interval.",
            "Consider the Cantor set, scaled by {n}. It is closed and has no isolated point, but it contains no interval and has measure 0.",
        ),
        (
            "Matrices with the same characteristic polynomial are similar.",
            "This fails in dimension {n} and above: take the zero matrix and a nilpotent Jordan block of that size. Both have the characteristic polynomial x^{n}, but they are not similar.",
        ),
        (
            "A quotient of a Hausdorff space need not be Hausdorff.",
            "Take two copies of [-{n}, {n}] and identify equal points except 0. The two origins cannot be separated, so the quotient is not Hausdorff.",
        ),
        (
            "Convergence in measure implies convergence almost everywhere.",
            "A counterexample is the typewriter sequence on [0, {n}]: indicator functions of intervals that run through [0, {n}] again and again while they shrink.",
        ),
        (
            "A subring of a Noetherian ring with {n} generators is Noetherian.",
            "In general this is false. For example, the polynomial ring in infinitely many variables is a subring of its field of fractions, which is Noetherian, but it is not Noetherian itself.",
        ),
        (
            "矩阵乘法在 {n} 阶矩阵中可交换。",
            "反例：取 A 为第一行第二列的矩阵单位，B 为第二行第一列的矩阵单位，则 AB 不等于 BA。",
        ),
    ],
];

/// Forms of other proofs, with traps: minimal counterexamples, illustrations, functions that are considered.
const OTHER: [[(&str, &str); 12]; 3] = [
    [
        (
            "The sum of the first k odd numbers is k^2, for k up to {n} and beyond.",
            "By induction. For k = 1 the claim is 1 = 1. If it holds for k, adding 2k + 1 gives (k + 1)^2.",
        ),
        (
            "Every integer greater than {n} has a prime divisor.",
            "Suppose not, and let m be the smallest counterexample. Then m is not prime, so m = ab with 1 < a < m. By minimality a has a prime divisor, which divides m: a contradiction.",
        ),
        (
            "If f is continuous on [0, {n}] and f(0) = f({n}), then f takes some value twice.",
            "Consider the function g(x) = f(x + {n}/2) - f(x) on [0, {n}/2]. It is continuous and g(0) = -g({n}/2), so by the intermediate value theorem it vanishes somewhere.",
        ),
        (
            "The root of the prime {x} is irrational.",
            "Assume that it equals a/b in lowest terms. Then a^2 = {x} b^2, so {x} divides a, and then b as well, which contradicts lowest terms.",
        ),
        (
            "A finite integral domain with {n} elements is a field.",
            "Let a be nonzero. The map x -> ax is injective, since there are no zero divisors, hence surjective. So some x satisfies ax = 1.",
        ),
        (
            "Every convergent sequence is bounded.",
            "Let a_k converge to a. From some index on |a_k - a| < {n}, so that |a_k| < |a| + {n}; the finitely many other terms are bounded too. For example, the sequence 1/k is bounded by 1.",
        ),
        (
            "The intersection of {n} open sets is open.",
            "Let x lie in all of them. Each contains a ball around x; the smallest of the {n} balls lies in the intersection.",
        ),
        (
            "The kernel of a homomorphism is normal in a group of order {n}.",
            "If k lies in the kernel and g is any element, then the image of gkg^{-1} is the image of g times its inverse, the identity.",
        ),
        (
            "There is no largest prime above {x}.",
            "Assume there were one. The product of all primes up to it plus one has a prime divisor that is not among them, which is impossible.",
        ),
        (
            "Every bounded monotone sequence converges.",
            "Let a_k be increasing and bounded by {n}. By completeness it has a supremum s. For every e > 0 some a_k exceeds s - e, and so do all later ones.",
        ),
        (
            "A continuous function on a compact set is uniformly continuous.",
            "Let e > 0. Every point has a ball on which f varies by less than e/{n}. Finitely many of these cover, and a Lebesgue number of the cover is as required.",
        ),
        (
            "The equation x^4 + y^4 = z^4 has no solution with z below {n}.",
            "By descent. A solution would give one with a smaller z; as there is no smallest natural number in an infinite descent, no counterexample exists.",
        ),
    ],
    [
        (
            "Two of any {n} people at a party know equally many others.",
            "The possible numbers are 0 to {n} - 1, but 0 and {n} - 1 cannot both occur. By the pigeonhole principle two people share a number.",
        ),
        (
            "Every tree with {n} vertices has {n} - 1 edges.",
            "Let T be a minimal counterexample. It has a leaf; removing it leaves a tree that satisfies the claim, and so T does, a contradiction.",
        ),
        (
            "If f is differentiable on ({x}, {n}{x}) and f' is positive, then f is increasing.",
            "Let a < b. By the mean value theorem f(b) - f(a) = f'(c)(b - a) for some c in between, which is positive.",
        ),
        (
            "Cauchy's mean value theorem holds on [0, {n}].",
            "Consider the function h(t) = (f({n}) - f(0)) g(t) - (g({n}) - g(0)) f(t). It has equal values at the ends, so Rolle's theorem gives a zero of h'.",
        ),
        (
            "A subgroup of index two is normal in a group of order {n}.",
            "There are two left and two right cosets, one being the subgroup. So the other left coset is the other right coset, and gH = Hg for every g.",
        ),
        (
            "The composition of {n} continuous maps is continuous.",
            "The preimage of an open set under the last map is open; taking preimages {n} times gives an open set.",
        ),
        (
            "The harmonic series exceeds {n}.",
            "Group the terms between powers of two. Each group has a sum of at least 1/2, and 2·{n} groups suffice. For instance, the first two groups give 1 and 1/2.",
        ),
        (
            "A linear map on a space of dimension {n} is injective exactly if it is surjective.",
            "By the rank theorem the dimensions of kernel and image add up to {n}. The kernel is zero exactly if the image has dimension {n}.",
        ),
        (
            "The limit of a sequence of reals is unique.",
            "Suppose a and b are limits with a not equal to b. Put e = |a - b|/{n}3. From some index on all terms are within e of both, which is absurd.",
        ),
        (
            "Every natural number below {n}00 is a sum of four squares.",
            "By Lagrange's theorem every natural number is. We recall the proof: Euler's identity reduces the claim to primes, and for a prime p some multiple of p is a sum of four squares; the least such multiple is p itself.",
        ),
        (
            "A metric space with {n} points is complete.",
            "A Cauchy sequence in a finite space is constant from some index on, since distinct points have a least distance. Hence it converges.",
        ),
        (
            "若 f 在 [0, {n}] 上连续，则 f 有界。",
            "用反证法。设 f 无界，则存在点列使 |f(x_k)| > k。取收敛子列，由连续性得出矛盾。",
        ),
    ],
    [
        (
            "A polynomial of degree {n} has at most {n} roots in a field.",
            "By induction on the degree: if r is a root, divide by X - r. Every other root is a root of the quotient, which has at most {n} - 1.",
        ),
        (
            "The arithmetic mean of {n} positive numbers is at least their geometric mean.",
            "Take logarithms. The logarithm is concave, so Jensen's inequality gives the claim; equality holds only if all numbers are equal, but not otherwise.",
        ),
        (
            "If a divides bc and is coprime to b, then a divides c.",
            "There are integers x and y with ax + by = 1. Multiplying by c gives c = axc + byc, and a divides both terms. For example, with a = {n} the numbers x and y are found by Euclid's algorithm.",
        ),
        (
            "Every graph with {n} vertices of degree at least 2 has a cycle.",
            "Consider a longest path. Its last vertex has a second neighbour, which lies on the path since the path cannot be extended. This closes a cycle.",
        ),
        (
            "A compact subset of a Hausdorff space with {n} marked points is closed.",
            "Let x lie outside of it. For every y in the set there are disjoint neighbourhoods; finitely many of those of the y cover the set, and the intersection of the others is a neighbourhood of x.",
        ),
        (
            "The set of reals in (0, 1/{n}) is not countable.",
            "Suppose that it could be listed. Choose a number whose k-th digit differs from that of the k-th number; it is not in the list, a contradiction.",
        ),
        (
            "Fermat's little theorem holds for the prime {x}.",
            "Let p = {x}. The multiples a, 2a, ..., (p - 1)a are distinct modulo p, so that their product is (p - 1)! both with and without the factor a^(p-1).",
        ),
        (
            "If a claim P holds for 1 and passes from k to k + {n}, it holds for 1, {n} + 1, 2·{n} + 1 and so on.",
            "Otherwise consider the least counterexample m. As m > 1, P holds for m - {n} and hence for m.",
        ),
        (
            "An increasing function on [0, {n}] is integrable.",
            "Divide the interval into m equal parts. Upper and lower sums differ by (f({n}) - f(0)){n}/m, which tends to 0, although f is not assumed to be continuous.",
        ),
        (
            "A projection P on a space of dimension {n} splits it into kernel and image.",
            "Write x = Px + (x - Px). The first is in the image, the second in the kernel, and an element of both is Py with 0 = PPy = Py.",
        ),
        (
            "The group of units modulo {x} is cyclic.",
            "For every divisor d there are at most d solutions of x^d = 1, since a polynomial over a field has no more roots than its degree. A finite group with this property is cyclic.",
        ),
        (
            "若 a 与 {n} 互素，则存在逆元。",
            "由裴蜀定理存在整数 x, y 使 ax + {n}y = 1，于是 x 即为 a 的逆元。",
        ),
    ],
];

fn filled(text: &str, number: usize) -> String {
    const PRIMES: [&str; 8] = ["2", "3", "5", "7", "11", "13", "17", "19"];
    text.replace("{n}", &(number % 97 + 2).to_string()).replace("{x}", PRIMES[number % 8])
}

/// So many proofs of these forms, in turn.
fn proofs(kind: &str, forms: &[(&str, &str)], count: usize) -> Vec<Proof> {
    (0..count)
        .map(|number| {
            let (statement, proof) = forms[number % forms.len()];
            Proof {
                id: format!("{kind}{number}"),
                statement: filled(statement, number),
                proof: filled(proof, number),
            }
        })
        .collect()
}

/// Recall and precision of the rules on 100 planted proofs among 2,000.
fn rates(set: usize) -> (f64, f64) {
    let is_taken = |proof: &&Proof| find(proof).points >= THRESHOLD;
    let planted = proofs("c", &BY_COUNTEREXAMPLE[set], 100);
    let others = proofs("o", &OTHER[set], 2000);
    for proof in planted.iter().filter(|proof| !is_taken(proof)).take(8) {
        println!("missed: {} {:?}", proof.statement, find(proof));
    }
    for proof in others.iter().filter(is_taken).take(12) {
        println!("wrongly taken: {} {:?}", proof.statement, find(proof));
    }
    let (found, wrong) = (planted.iter().filter(is_taken).count(), others.iter().filter(is_taken).count());
    (found as f64 / 100.0, found as f64 / (found + wrong).max(1) as f64)
}

#[test]
fn planted_counterexamples_are_found() {
    for set in 0..3 {
        let (recall, precision) = rates(set);
        println!("set {set}: recall {recall:.3}, precision {precision:.3}");
        assert!(recall >= 0.9 && precision >= 0.8, "set {set}: recall {recall}, precision {precision}");
    }
}

#[test]
fn a_model_takes_writes_out_and_is_asked_again() {
    let taken = proofs("c", &BY_COUNTEREXAMPLE[0], 6);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let model = ScriptedModel::new("selector", move |request, sample| {
        count.fetch_add(1, Ordering::SeqCst);
        let text = request.prompt.last_text();
        let series = text.contains("Leibniz");
        Ok(Sample::of(match (series, sample) {
            (true, 0) => "Certainly!".to_string(),
            _ if text.contains("matrix units") => {
                "{\"by_counterexample\": false, \"statement\": \"\", \"rationale\": \"\"}".to_string()
            }
            _ => {
                let long = if series { "word ".repeat(3000) } else { "r".into() };
                format!("{{\"by_counterexample\": true, \"statement\": \"s\", \"rationale\": \"{long}\"}}")
            }
        }))
    });
    let folder = tempfile::tempdir().unwrap();
    let calls =
        Calls::new(Arc::new(model), Arc::new(Log::open(folder.path()).unwrap()), Options::default()).unwrap();
    let requests = requests(&taken, &Sampling::default()).unwrap();
    let mut selected = Vec::new();
    select(&calls, &requests, 3, |_, one, _| selected.push(one)).unwrap();
    assert_eq!((selected.len(), sent.load(Ordering::SeqCst)), (6, 7));
    assert_eq!(selected.iter().map(|one| one.malformed).sum::<usize>(), 1);
    let records = taken.iter().zip(&selected).filter_map(|(proof, one)| {
        let selection = one.selection.as_ref().filter(|selection| selection.by_counterexample)?;
        Some((proof.id.clone(), selection.statement.clone(), selection.rationale.clone()))
    });
    let examples = export(records, 1024, estimated_tokens);
    assert_eq!(examples.len(), 5);
    assert_eq!(examples.iter().filter(|example| example.too_long).count(), 1);
    assert!(examples.iter().all(|example| example.too_long == (example.tokens > 1024)));
}
