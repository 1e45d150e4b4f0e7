//! Equations with an unknown number, and areas, sequences and volumes.

use super::{Template, told};

pub(super) const TEMPLATES: &[Template] = &[
    ("number-puzzle", |d| {
        let (x, a, b) = (d.number(2..=30), d.number(2..=12), d.number(2..=50));
        let (who, c) = (d.person(), a * x + b);
        told(
            format!(
                "{who} thinks of a number, multiplies it by {a} and adds {b}. The result is {c}. What is the number?"
            ),
            format!(
                "For the number x, {a}x + {b} equals {c}.\nSo {a}x equals {c} - {b} = {}, and x is {} / {a} = {x}.",
                a * x,
                a * x
            ),
            x,
        )
    }),
    ("number-puzzle-backwards", |d| {
        let (x, a, b) = (d.number(2..=30), d.number(2..=9), d.number(2..=20));
        let (who, c) = (d.person(), a * (x + b));
        told(
            format!(
                "{who} thinks of a number, adds {b} and multiplies the sum by {a}. The result is {c}. What is the number?"
            ),
            format!("The sum is {c} / {a} = {}.\nThe number is {} - {b} = {x}.", x + b, x + b),
            x,
        )
    }),
    ("ages-sum", |d| {
        let (young, times) = (d.number(3..=15), d.number(2..=6));
        let ([child, parent], parts) = (d.two_people(), times + 1);
        let sum = young * parts;
        told(
            format!(
                "{parent} is {times} times as old as {child}. Together they are {sum} years old. How old is {child}?"
            ),
            format!(
                "If {child} is x years old, they are x + {times}x together.\n{times} + 1 = {parts}, so {parts}x equals \
                 {sum}, and x is {sum} / {parts} = {young}."
            ),
            young,
        )
    }),
    ("ages-later", |d| {
        let (young, years, gap) = (d.number(4..=20), d.number(2..=15), d.number(3..=30));
        let ([child, other], later) = (d.two_people(), young + years);
        told(
            format!(
                "{other} is {gap} years older than {child}. In {years} years {child} will be {later}. How old is \
                 {other} now?"
            ),
            format!(
                "{child} is {later} - {years} = {young} now.\n{other} is {young} + {gap} = {} now.",
                young + gap
            ),
            young + gap,
        )
    }),
    ("consecutive", |d| {
        let first = d.number(3..=400);
        let (middle, sum) = (first + 1, 3 * first + 3);
        told(
            format!("The sum of three consecutive numbers is {sum}. What is the smallest of them?"),
            format!("The middle one is {sum} / 3 = {middle}.\nThe smallest is {middle} - 1 = {first}."),
            first,
        )
    }),
    ("coins", |d| {
        let [ones, twos] = [d.number(2..=30), d.number(2..=30)];
        let (who, money) = (d.person(), d.money());
        let (count, sum) = (ones + twos, ones + 2 * twos);
        told(
            format!(
                "{who} has {count} coins of 1 and 2 {money}, {sum} {money} together. How many coins of 2 {money} does \
                 {who} have?"
            ),
            format!(
                "If all were coins of 1, it would be {count} {money}.\nEvery coin of 2 adds 1, so there are \
                 {sum} - {count} = {twos} of them."
            ),
            twos,
        )
    }),
    ("heads-and-legs", |d| {
        let [birds, beasts] = [d.number(2..=30), d.number(2..=30)];
        let (bird, beast) = (d.one(&["chickens", "geese", "ducks"]), d.one(&["rabbits", "goats", "sheep"]));
        let (heads, legs) = (birds + beasts, 2 * birds + 4 * beasts);
        let (least, rest) = (2 * heads, legs - 2 * heads);
        told(
            format!(
                "On a farm there are {bird} and {beast}, with {heads} heads and {legs} legs. How many {beast} are there?"
            ),
            format!(
                "With two legs each there would be 2 * {heads} = {least} legs.\n{legs} - {least} = {rest} legs are \
                 more.\nEach of the {beast} has 2 more, so there are {rest} / 2 = {beasts}."
            ),
            beasts,
        )
    }),
    ("rectangle-longer", |d| {
        let (width, more) = (d.number(3..=40), d.number(2..=30));
        let (length, place) = (width + more, d.one(&["garden", "field", "room", "carpet"]));
        let (around, half) = (2 * (width + length), width + length);
        told(
            format!(
                "A rectangular {place} is {more} m longer than wide. Around it, it is {around} m. How many metres wide \
                 is the {place}?"
            ),
            format!(
                "Width and length together are {around} / 2 = {half} m.\nTwice the width is {half} - {more} = {}, so \
                 the width is {} / 2 = {width} m.",
                2 * width,
                2 * width
            ),
            width,
        )
    }),
    ("rectangle-area", |d| {
        let [width, length] = [d.number(3..=30), d.number(3..=30)];
        let (area, place) = (width * length, d.one(&["garden", "field", "room", "carpet"]));
        let half = width + length;
        told(
            format!(
                "A rectangular {place} is {width} m wide and has an area of {area} square metres. How many metres is \
                 it around the {place}?"
            ),
            format!(
                "It is {area} / {width} = {length} m long.\nAround it, it is 2 * ({width} + {length}) = {} m.",
                2 * half
            ),
            2 * half,
        )
    }),
    ("sum-and-difference", |d| {
        let (small, gap) = (d.number(2..=80), d.number(2..=60));
        let (sum, twice) = (2 * small + gap, 2 * small);
        told(
            format!(
                "Two numbers have the sum {sum}, and one is {gap} larger than the other. What is the smaller one?"
            ),
            format!(
                "Without what the larger one has more, it is {sum} - {gap} = {twice}.\nThat is twice the smaller one, \
                 which is {twice} / 2 = {small}."
            ),
            small,
        )
    }),
    ("tickets", |d| {
        let (adults, children) = (d.number(2..=40), d.number(2..=40));
        let (low, more) = (d.number(2..=8), d.number(1..=9));
        let (high, count) = (low + more, adults + children);
        let (money, place) = (d.money(), d.one(&["zoo", "museum", "fair", "pool"]));
        let (sum, least) = (high * adults + low * children, low * count);
        told(
            format!(
                "Tickets for the {place} cost {high} {money} for adults and {low} {money} for children. {count} tickets \
                 cost {sum} {money}. How many of them are for adults?"
            ),
            format!(
                "If all were for children, they would cost {count} * {low} = {least} {money}.\n{sum} - {least} = {} \
                 {money} are more.\nAn adult pays {high} - {low} = {more} more, so there are {} / {more} = {adults}.",
                sum - least,
                sum - least
            ),
            adults,
        )
    }),
    ("fixed-and-each", |d| {
        let (fixed, each, units) = (d.number(3..=40), d.number(2..=15), d.number(3..=30));
        let (money, sum) = (d.money(), fixed + each * units);
        let (what, unit) =
            d.any(&[("A bike", "hour"), ("A taxi", "kilometre"), ("A boat", "hour"), ("A hall", "day")]);
        told(
            format!(
                "{what} costs {fixed} {money} and {each} {money} more for every {unit}. The bill is {sum} {money}. For \
                 how many {unit}s is it?"
            ),
            format!(
                "Without what is fixed, it is {sum} - {fixed} = {} {money}.\nThat is {} / {each} = {units} {unit}s.",
                each * units,
                each * units
            ),
            units,
        )
    }),
    ("two-plans", |d| {
        let (low, gap, months) = (d.number(2..=10), d.number(2..=9), d.number(2..=24));
        let (high, less) = (low + gap, d.number(5..=40));
        let (money, more) = (d.money(), less + gap * months);
        let place = d.one(&["gym", "library", "tennis club", "swimming club"]);
        told(
            format!(
                "One {place} takes {less} {money} at first and {high} {money} a month, another takes {more} {money} at \
                 first and {low} {money} a month. After how many months have both cost the same?"
            ),
            format!(
                "At first they differ by {more} - {less} = {} {money}.\nEvery month makes up {high} - {low} = {gap} \
                 {money}, which takes {} / {gap} = {months} months.",
                gap * months,
                gap * months
            ),
            months,
        )
    }),
    ("angles", |d| {
        let [first, second] = [d.number(20..=85), d.number(20..=85)];
        let third = 180 - first - second;
        told(
            format!(
                "Two angles of a triangle are {first} and {second} degrees. How many degrees is the third angle?"
            ),
            format!(
                "The two are {first} + {second} = {} degrees.\nAll three are 180, so the third is 180 - {} = {third}.",
                first + second,
                first + second
            ),
            third,
        )
    }),
    ("sequence", |d| {
        let (first, step, place) = (d.number(2..=40), d.number(2..=15), d.number(6..=30));
        let steps = place - 1;
        told(
            format!(
                "The first row of a theatre has {first} seats, and every further row has {step} seats more than the one \
                 before it. How many seats has row {place}?"
            ),
            format!(
                "From row 1 to row {place} there are {place} - 1 = {steps} steps.\nThey add {steps} * {step} = {} \
                 seats.\nThe row has {first} + {} = {} seats.",
                steps * step,
                steps * step,
                first + steps * step
            ),
            first + steps * step,
        )
    }),
    ("sum-to", |d| {
        let (first, rows) = (d.number(2..=30), d.number(4..=20));
        let (last, who) = (first + rows - 1, d.person());
        let (ends, twice) = (first + last, (first + last) * rows);
        told(
            format!(
                "{who} stacks cans in {rows} rows. The top row has {first} cans, and every row below has one can more. \
                 How many cans are there?"
            ),
            format!(
                "The bottom row has {first} + {rows} - 1 = {last} cans.\nTop and bottom have {first} + {last} = {ends}.\n\
                 In all there are {rows} * {ends} / 2 = {} cans.",
                twice / 2
            ),
            twice / 2,
        )
    }),
    ("square", |d| {
        let side = d.number(3..=60);
        let (area, place) =
            (side * side, d.one(&["square", "square tile", "square garden", "square picture"]));
        told(
            format!("A {place} has an area of {area} square metres. How many metres is it around?"),
            format!(
                "{area} = {side} * {side}, so a side is {side} m.\nAround it, it is 4 * {side} = {} m.",
                4 * side
            ),
            4 * side,
        )
    }),
    ("box-height", |d| {
        let [a, b, c] = [d.number(2..=15), d.number(2..=15), d.number(2..=15)];
        let (ground, volume) = (a * b, a * b * c);
        told(
            format!(
                "A box is {a} cm long and {b} cm wide and holds {volume} cubic centimetres. How many centimetres high \
                 is it?"
            ),
            format!(
                "Its ground is {a} * {b} = {ground} square centimetres.\nIt is {volume} / {ground} = {c} cm high."
            ),
            c,
        )
    }),
    ("catching-up", |d| {
        let (slow, gain, hours) = (d.number(4..=60), d.number(2..=20), d.number(2..=8));
        let ([first, second], fast, start) = (d.two_people(), slow + gain, gain * hours);
        told(
            format!(
                "{first} is {start} km ahead and goes {slow} km/h. {second} follows at {fast} km/h. After how many hours \
                 does {second} catch up?"
            ),
            format!(
                "{second} gains {fast} - {slow} = {gain} km every hour.\nIt takes {start} / {gain} = {hours} hours."
            ),
            hours,
        )
    }),
    ("equation", |d| {
        let (x, a, gap) = (d.number(2..=25), d.number(2..=9), d.number(1..=8));
        let (more, b) = (a + gap, d.number(1..=40));
        let c = b + gap * x;
        told(
            format!("For which number x is {more}x + {b} equal to {a}x + {c}?"),
            format!(
                "Taking {a}x from both sides leaves {more} - {a} = {gap} times x on one side.\nThe other side has {c} - \
                 {b} = {} more, so x is {} / {gap} = {x}.",
                gap * x,
                gap * x
            ),
            x,
        )
    }),
];
