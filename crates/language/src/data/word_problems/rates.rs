//! Parts, per cents, speeds, means and other rates.

use super::{Template, fraction, told};

pub(super) const TEMPLATES: &[Template] = &[
    ("per-cent-of", |d| {
        let (percent, hundreds) = (d.number(2..=19) * 5, d.number(2..=30));
        let (total, part) = (20 * hundreds, percent * hundreds / 5);
        let place = d.one(&["school", "company", "choir", "club"]);
        told(
            format!(
                "A {place} has {total} members. {percent} % of them come by bike. How many members is that?"
            ),
            format!("{percent} % of {total} are {total} * {percent} / 100 = {part}."),
            part,
        )
    }),
    ("discount", |d| {
        let (percent, hundreds) = (d.number(1..=12) * 5, d.number(2..=25));
        let (price, saved) = (20 * hundreds, percent * hundreds / 5);
        let ((thing, _), money) = (d.goods(), d.money());
        told(
            format!(
                "A {thing} of {price} {money} costs {percent} % less today. How many {money} does it cost today?"
            ),
            format!(
                "The discount is {price} * {percent} / 100 = {saved} {money}.\nThe price is {price} - {saved} = {} {money}.",
                price - saved
            ),
            price - saved,
        )
    }),
    ("raise", |d| {
        let (percent, hundreds) = (d.number(1..=10) * 5, d.number(5..=60));
        let (start, more) = (20 * hundreds, percent * hundreds / 5);
        let place = d.one(&["town", "village", "library", "island"]);
        let counted = if place == "library" { "books" } else { "people" };
        told(
            format!(
                "A {place} has {start} {counted}. A year later it is {percent} % more. How many {counted} is it then?"
            ),
            format!(
                "{percent} % of {start} are {start} * {percent} / 100 = {more}.\nThen it is {start} + {more} = {}.",
                start + more
            ),
            start + more,
        )
    }),
    ("part-of", |d| {
        let (below, each) = (d.number(3..=9), d.number(3..=20));
        let above = d.number(1..=below - 1);
        let (who, things, total) = (d.person(), d.things(), below * each);
        told(
            format!(
                "{who} has {total} {things} and paints {above}/{below} of them. How many {things} are painted?"
            ),
            format!(
                "1/{below} of them are {total} / {below} = {each}.\n{above} * {each} = {} are painted.",
                above * each
            ),
            above * each,
        )
    }),
    ("part-left", |d| {
        let (below, each) = (d.number(3..=9), d.number(3..=25));
        let above = d.number(1..=below - 1);
        let (who, money, total) = (d.person(), d.money(), below * each);
        let spent = above * each;
        told(
            format!("{who} has {total} {money} and spends {above}/{below} of it. How many {money} are left?"),
            format!(
                "{who} spends {total} * {above} / {below} = {spent} {money}.\n{total} - {spent} = {} {money} are left.",
                total - spent
            ),
            total - spent,
        )
    }),
    ("speed", |d| {
        let (speed, hours) = (d.number(4..=120), d.number(2..=9));
        let vehicle = d.one(&["car", "train", "bus", "boat", "bicycle"]);
        let way = speed * hours;
        told(
            format!(
                "A {vehicle} covers {way} km in {hours} hours at a constant speed. What is its speed in km/h?"
            ),
            format!("The speed is {way} / {hours} = {speed} km/h."),
            speed,
        )
    }),
    ("distance", |d| {
        let (speed, minutes) = (d.number(3..=20) * 6, d.number(2..=17) * 10);
        let (who, way) = (d.person(), speed * minutes / 60);
        let vehicle = d.one(&["car", "train", "bus", "boat"]);
        told(
            format!(
                "{who} goes by {vehicle} at {speed} km/h for {minutes} minutes. How many kilometres is that?"
            ),
            format!("An hour has 60 minutes, so it is {speed} * {minutes} / 60 = {way} km."),
            way,
        )
    }),
    ("time", |d| {
        let (speed, hours) = (d.number(3..=90), d.number(2..=12));
        let (who, way) = (d.person(), speed * hours);
        told(
            format!("{who} travels {way} km at {speed} km/h. How many hours does that take?"),
            format!("It takes {way} / {speed} = {hours} hours."),
            hours,
        )
    }),
    ("recipe", |d| {
        let (people, each, guests) = (d.number(2..=8), d.number(15..=90), d.number(9..=24));
        let (food, amount) = (d.one(&["flour", "rice", "sugar", "butter", "pasta"]), people * each);
        told(
            format!(
                "A recipe for {people} people takes {amount} g of {food}. How many grams of {food} does it take for \
                 {guests} people?"
            ),
            format!(
                "For one person it takes {amount} / {people} = {each} g.\nFor {guests} people it takes {guests} * {each} = {} g.",
                guests * each
            ),
            guests * each,
        )
    }),
    ("ratio", |d| {
        let [a, b] = d.different(1..=9);
        let (part, [first, second]) = (d.number(3..=25), d.two_people());
        let (money, parts) = (d.money(), a + b);
        let total = parts * part;
        told(
            format!(
                "{first} and {second} share {total} {money} in the ratio {a} : {b}. How many {money} does {first} get?"
            ),
            format!(
                "There are {a} + {b} = {parts} parts of {total} / {parts} = {part} {money}.\n{first} gets {a} * {part} = {} {money}.",
                a * part
            ),
            a * part,
        )
    }),
    ("mean", |d| {
        let [a, b, c] = [d.number(4..=40), d.number(4..=40), d.number(4..=40)];
        let rest = (a + b + c) % 4;
        let last = d.number(2..=9) * 4 + (4 - rest) % 4;
        let (who, things, sum) = (d.person(), d.things(), a + b + c + last);
        told(
            format!(
                "{who} finds {a}, {b}, {c} and {last} {things} on four days. What is the mean number of {things} a day?"
            ),
            format!("In all it is {a} + {b} + {c} + {last} = {sum}.\nThe mean is {sum} / 4 = {}.", sum / 4),
            sum / 4,
        )
    }),
    ("missing-for-mean", |d| {
        let (mean, below, above) = (d.number(20..=60), d.number(1..=9), d.number(1..=9));
        let (first, second) = (mean - below, mean + above);
        let (who, sum, third) = (d.person(), 3 * mean, 3 * mean - first - second);
        told(
            format!(
                "{who} has {first} and {second} points in two games. How many points in a third game make the mean {mean}?"
            ),
            format!(
                "The three games must have 3 * {mean} = {sum} points.\nThe two have {first} + {second} = {}.\n\
                 {sum} - {} = {third} are missing.",
                first + second,
                first + second
            ),
            third,
        )
    }),
    ("unit-price", |d| {
        let (each, few, many) = (d.number(2..=25), d.number(3..=9), d.number(10..=20));
        let ((_, goods), money, price) = (d.goods(), d.money(), each * few);
        told(
            format!("{few} {goods} cost {price} {money}. How many {money} do {many} {goods} cost?"),
            format!(
                "One costs {price} / {few} = {each} {money}.\n{many} cost {many} * {each} = {} {money}.",
                many * each
            ),
            many * each,
        )
    }),
    ("map", |d| {
        let (scale, length) = (d.number(2..=25), d.number(3..=30));
        let [from, to] =
            d.different_words(&["the lake", "the bridge", "the castle", "the station", "the mill"]);
        told(
            format!(
                "On a map 1 cm stands for {scale} km. From {from} to {to} it is {length} cm. How many kilometres is that?"
            ),
            format!("It is {length} * {scale} = {} km.", length * scale),
            length * scale,
        )
    }),
    ("workers", |d| {
        let [people, days] = [d.number(2..=8), d.number(2..=8)];
        let (times, job) =
            (d.number(2..=4), d.one(&["paint a house", "dig a pond", "build a wall", "pave a yard"]));
        let (fewer, work) = (people * times, people * times * days);
        let (before, after) = (days * times, days);
        told(
            format!(
                "{people} people {job} in {before} days. How many days do {fewer} people take, at the same pace?"
            ),
            format!(
                "It is {people} * {before} = {work} days of work.\n{fewer} people take {work} / {fewer} = {after} days."
            ),
            after,
        )
    }),
    ("fuel", |d| {
        let (each, hundreds) = (d.number(4..=12), d.number(3..=12));
        let vehicle = d.one(&["car", "van", "lorry", "bus"]);
        let (way, used) = (100 * hundreds, each * hundreds);
        told(
            format!(
                "A {vehicle} uses {each} litres of fuel for 100 km. How many litres does it use for {way} km?"
            ),
            format!(
                "{way} km are {way} / 100 = {hundreds} times 100 km.\nIt uses {hundreds} * {each} = {used} litres."
            ),
            used,
        )
    }),
    ("towards-each-other", |d| {
        let [slow, fast] = [d.number(3..=60), d.number(3..=60)];
        let (hours, [first, second]) = (d.number(2..=8), d.two_people());
        let (together, way) = (slow + fast, (slow + fast) * hours);
        told(
            format!(
                "{first} and {second} are {way} km apart and start towards each other, {first} at {slow} km/h and \
                 {second} at {fast} km/h. After how many hours do they meet?"
            ),
            format!(
                "They come nearer by {slow} + {fast} = {together} km every hour.\nThey meet after {way} / {together} = {hours} hours."
            ),
            hours,
        )
    }),
    ("parts-left", |d| {
        let [a, b] = d.different(3..=12);
        let ([first, second], cake) = (d.two_people(), d.one(&["cake", "pizza", "melon", "pie"]));
        let left = fraction(a * b - a - b, a * b);
        let eaten = format!("1/{a} + 1/{b} = ({a} + {b}) / ({a} * {b}) = {} / {}", a + b, a * b);
        told(
            format!(
                "{first} eats 1/{a} of a {cake} and {second} eats 1/{b} of it. What part of the {cake} is left?"
            ),
            format!("Together they eat {eaten}.\n1 - {} / {} = {left} is left.", a + b, a * b),
            left,
        )
    }),
    ("interest", |d| {
        let (hundreds, percent, years) = (d.number(2..=50), d.number(1..=9), d.number(2..=8));
        let (who, money, start, each) = (d.person(), d.money(), 100 * hundreds, hundreds * percent);
        told(
            format!(
                "{who} lends {start} {money} at {percent} % simple interest a year. How many {money} of interest is \
                 that in {years} years?"
            ),
            format!(
                "A year brings {start} * {percent} / 100 = {each} {money}.\n{years} years bring {years} * {each} = {} {money}.",
                years * each
            ),
            years * each,
        )
    }),
    ("tank", |d| {
        let (flow, leak, minutes) = (d.number(8..=30), d.number(2..=7), d.number(3..=25));
        let (gain, vessel) = (flow - leak, d.one(&["tank", "pool", "barrel", "pond"]));
        let size = gain * minutes;
        told(
            format!(
                "{flow} litres of water run into an empty {vessel} every minute, and {leak} litres run out. After how \
                 many minutes are there {size} litres in the {vessel}?"
            ),
            format!(
                "Every minute brings {flow} - {leak} = {gain} litres.\nIt takes {size} / {gain} = {minutes} minutes."
            ),
            minutes,
        )
    }),
];
