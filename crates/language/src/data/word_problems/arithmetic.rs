//! One to three operations with whole numbers.

use super::{Template, told};

pub(super) const TEMPLATES: &[Template] = &[
    ("more", |d| {
        let [a, b] = [d.number(2..=90), d.number(2..=90)];
        let (who, things) = (d.person(), d.things());
        let way = d.one(&["gets", "finds", "buys", "wins"]);
        told(
            format!("{who} has {a} {things} and {way} {b} more. How many {things} does {who} have now?"),
            format!("{who} has {a} + {b} = {} {things}.", a + b),
            a + b,
        )
    }),
    ("fewer", |d| {
        let (a, b) = (d.number(20..=99), d.number(2..=18));
        let ([who, other], things) = (d.two_people(), d.things());
        told(
            format!("{who} had {a} {things} and gave {b} of them to {other}. How many are left for {who}?"),
            format!("{a} - {b} = {} {things} are left.", a - b),
            a - b,
        )
    }),
    ("boxes", |d| {
        let [a, b] = [d.number(3..=25), d.number(3..=25)];
        let (things, pack) = (d.things(), d.one(&["boxes", "bags", "crates", "baskets"]));
        told(
            format!(
                "There are {a} {pack} with {b} {things} in each. How many {things} are there altogether?"
            ),
            format!("{a} * {b} = {} {things}.", a * b),
            a * b,
        )
    }),
    ("shared", |d| {
        let (people, each) = (d.number(3..=12), d.number(3..=30));
        let (things, total) = (d.things(), people * each);
        told(
            format!(
                "{people} children share {total} {things} equally. How many {things} does each child get?"
            ),
            format!("Each child gets {total} / {people} = {each} {things}."),
            each,
        )
    }),
    ("packed-and-given", |d| {
        let (boxes, each, gone) = (d.number(4..=15), d.number(6..=24), d.number(3..=20));
        let (who, things, packed) = (d.person(), d.things(), boxes * each);
        told(
            format!(
                "A box holds {each} {things}. {who} packs {boxes} boxes and then gives away {gone} {things}. \
                 How many {things} are left?"
            ),
            format!(
                "The boxes hold {boxes} * {each} = {packed} {things}.\n{packed} - {gone} = {} {things} are left.",
                packed - gone
            ),
            packed - gone,
        )
    }),
    ("change", |d| {
        let (count, price) = (d.number(2..=9), d.number(2..=10));
        let (who, (_, goods), money) = (d.person(), d.goods(), d.money());
        let cost = count * price;
        told(
            format!(
                "{who} buys {count} {goods} at {price} {money} each and pays with 100 {money}. How many {money} \
                 does {who} get back?"
            ),
            format!(
                "The {goods} cost {count} * {price} = {cost} {money}.\n{who} gets 100 - {cost} = {} {money} back.",
                100 - cost
            ),
            100 - cost,
        )
    }),
    ("two-goods", |d| {
        let [a, p, b, q] = [d.number(2..=9), d.number(2..=15), d.number(2..=9), d.number(2..=15)];
        let (who, [(_, first), (_, second)], money) = (d.person(), d.two_goods(), d.money());
        told(
            format!(
                "{who} buys {a} {first} for {p} {money} each and {b} {second} for {q} {money} each. How many \
                 {money} does {who} spend?"
            ),
            format!(
                "The {first} cost {a} * {p} = {} {money}.\nThe {second} cost {b} * {q} = {} {money}.\n\
                 Together that is {} + {} = {} {money}.",
                a * p,
                b * q,
                a * p,
                b * q,
                a * p + b * q
            ),
            a * p + b * q,
        )
    }),
    ("pages-left", |d| {
        let (each, days, left) = (d.number(8..=30), d.number(3..=9), d.number(5..=120));
        let (who, read, total) = (d.person(), each * days, each * days + left);
        told(
            format!(
                "{who} reads a book of {total} pages, {each} pages a day. How many pages are left after {days} days?"
            ),
            format!(
                "In {days} days {who} reads {days} * {each} = {read} pages.\n{total} - {read} = {left} pages are left."
            ),
            left,
        )
    }),
    ("savings", |d| {
        let (start, each, weeks) = (d.number(5..=60), d.number(3..=15), d.number(3..=20));
        let (who, (thing, _), money) = (d.person(), d.goods(), d.money());
        let target = start + each * weeks;
        told(
            format!(
                "{who} has saved {start} {money} and saves {each} {money} more every week. After how many weeks \
                 is there enough for a {thing} of {target} {money}?"
            ),
            format!(
                "{target} - {start} = {} {money} are missing.\nThat takes {} / {each} = {weeks} weeks.",
                each * weeks,
                each * weeks
            ),
            weeks,
        )
    }),
    ("remainder", |d| {
        let (size, full) = (d.number(4..=12), d.number(3..=20));
        let left = d.number(2..=size - 1);
        let (who, things, total) = (d.person(), d.things(), size * full + left);
        told(
            format!(
                "{who} puts {total} {things} into bags of {size} until no bag can be filled. How many {things} \
                 are left over?"
            ),
            format!(
                "{total} is {full} times {size} and something: {total} = {full} * {size} + {left}.\nThe {full} bags hold \
                 {full} * {size} = {} {things}.\n{total} - {} = {left} are left over.",
                full * size,
                full * size
            ),
            left,
        )
    }),
    ("more-than-another", |d| {
        let (less, more) = (d.number(5..=60), d.number(3..=40));
        let ([who, other], things) = (d.two_people(), d.things());
        let bigger = less + more;
        told(
            format!(
                "{other} has {less} {things}. {who} has {more} {things} more than {other}. How many {things} do \
                 they have together?"
            ),
            format!(
                "{who} has {less} + {more} = {bigger} {things}.\nTogether they have {less} + {bigger} = {} {things}.",
                less + bigger
            ),
            less + bigger,
        )
    }),
    ("times-as-many", |d| {
        let (few, times) = (d.number(4..=30), d.number(2..=9));
        let ([who, other], things) = (d.two_people(), d.things());
        let many = few * times;
        told(
            format!(
                "{other} collects {few} {things}, and {who} collects {times} times as many. How many {things} do \
                 the two collect?"
            ),
            format!(
                "{who} collects {times} * {few} = {many} {things}.\nThe two collect {few} + {many} = {} {things}.",
                few + many
            ),
            few + many,
        )
    }),
    ("three-days", |d| {
        let (first, more, less) = (d.number(20..=80), d.number(3..=30), d.number(2..=15));
        let (who, things) = (d.person(), d.things());
        let (second, third) = (first + more, first + more - less);
        told(
            format!(
                "On Monday {who} sells {first} {things}, on Tuesday {more} more than on Monday, and on Wednesday \
                 {less} fewer than on Tuesday. How many {things} does {who} sell on the three days?"
            ),
            format!(
                "On Tuesday it is {first} + {more} = {second}.\nOn Wednesday it is {second} - {less} = {third}.\n\
                 In all that is {first} + {second} + {third} = {}.",
                first + second + third
            ),
            first + second + third,
        )
    }),
    ("bus", |d| {
        let (start, off, on) = (d.number(15..=50), d.number(2..=14), d.number(2..=20));
        let vehicle = d.one(&["bus", "tram", "train", "ferry"]);
        let after = start - off;
        told(
            format!(
                "{start} people are on a {vehicle}. At the next stop {off} get off and {on} get on. How many \
                 people are on the {vehicle} then?"
            ),
            format!(
                "{start} - {off} = {after} people stay.\nThen there are {after} + {on} = {}.",
                after + on
            ),
            after + on,
        )
    }),
    ("seats", |d| {
        let (rows, seats, empty) = (d.number(5..=25), d.number(6..=30), d.number(2..=28));
        let (place, all) = (d.one(&["hall", "theatre", "cinema", "circus tent"]), rows * seats);
        told(
            format!(
                "A {place} has {rows} rows of {seats} seats. {empty} seats stay empty. How many seats are taken?"
            ),
            format!(
                "There are {rows} * {seats} = {all} seats.\n{all} - {empty} = {} are taken.",
                all - empty
            ),
            all - empty,
        )
    }),
    ("minutes", |d| {
        let (hours, minutes, pause) = (d.number(2..=9), d.number(2..=59), d.number(5..=45));
        let (who, way) = (d.person(), d.one(&["drives", "walks", "cycles", "works", "travels"]));
        let (whole, all) = (60 * hours, 60 * hours + minutes);
        told(
            format!(
                "{who} {way} for {hours} hours and {minutes} minutes, of which {pause} minutes are a pause. How \
                 many minutes are without pause?"
            ),
            format!(
                "{hours} hours are {hours} * 60 = {whole} minutes.\n{whole} + {minutes} = {all} minutes in all.\n\
                 Without the pause it is {all} - {pause} = {} minutes.",
                all - pause
            ),
            all - pause,
        )
    }),
    ("temperature", |d| {
        let (morning, rise, fall) = (d.number(-9..=12), d.number(3..=15), d.number(5..=25));
        let (place, noon) = (d.one(&["valley", "village", "harbour", "mountain hut"]), morning + rise);
        told(
            format!(
                "In the morning it is {morning} degrees in a {place}. Until noon it gets {rise} degrees warmer, \
                 and until night {fall} degrees colder again. How many degrees is it at night?"
            ),
            format!(
                "At noon it is {morning} + {rise} = {noon}.\nAt night it is {noon} - {fall} = {}.",
                noon - fall
            ),
            noon - fall,
        )
    }),
    ("laps", |d| {
        let (laps, length, extra) = (d.number(3..=15), d.number(4..=9) * 50, d.number(1..=9) * 10);
        let (who, way, ran) = (d.person(), d.one(&["runs", "swims", "skates", "rides"]), laps * length);
        told(
            format!(
                "{who} {way} {laps} laps of {length} m and then {extra} m more. How many metres is that?"
            ),
            format!(
                "The laps are {laps} * {length} = {ran} m.\nWith the rest it is {ran} + {extra} = {} m.",
                ran + extra
            ),
            ran + extra,
        )
    }),
    ("halved-and-more", |d| {
        let (half, more) = (d.number(6..=60), d.number(3..=30));
        let (who, things, start) = (d.person(), d.things(), 2 * half);
        told(
            format!(
                "{who} has {start} {things}, gives half of them away and then gets {more} new ones. How many \
                 {things} does {who} have in the end?"
            ),
            format!("Half of them are {start} / 2 = {half}.\n{half} + {more} = {} {things}.", half + more),
            half + more,
        )
    }),
];
