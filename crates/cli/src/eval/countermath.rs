//! `mathesis eval countermath`: statements of university mathematics, true or false, and argued by examples or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mathesis_reasoning::answers::Language;
use mathesis_reasoning::models::calls::Spending;
use mathesis_reasoning::models::{Identity, Model, Request, Sampling};
use mathesis_reasoning::suites::countermath::extract::Rule;
use mathesis_reasoning::suites::countermath::judge::{
    self, Agreement, Case, Judged, Judgement, Rationales, agreement,
};
use mathesis_reasoning::suites::countermath::prompt::{Prompter, Style};
use mathesis_reasoning::suites::countermath::records::{FETCH, Statement, add_labels, load, require_labels};
use mathesis_reasoning::suites::countermath::scores::{
    Decision, GroupScores, Said, Scores, grade, score, verdict,
};
use mathesis_reasoning::suites::countermath::steps::{self, StepScore};
use mathesis_reasoning::suites::replies::Replies;
use mathesis_reasoning::suites::{DataFile, Kind, Problem, Record, Reply, Setting, Settings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asking::{self, Watch, spent_json, stopped};
use super::figures::{Bar, Page, Part, Section, Table, bars};
use super::page::percent;
use super::{Arguments, RunRecord, json_text};
use crate::failure::{Failure, unreadable};
use crate::local_model::open;
use crate::progress::listen_for_interrupts;
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::run_folder::{RunFolder, check_output};

/// The name of the suite.
pub const NAME: &str = "countermath";
const ABOUT: &str = "1,216 statements of university mathematics: true or false, and argued by examples?";

fn settings(arguments: &Arguments) -> Result<Settings, Failure> {
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    let rules = Rule::ALL.iter().map(|rule| rule.name()).collect();
    let known = [
        setting("mode", "score", Kind::One(vec!["score", "predict"]), "predict needs no labels"),
        setting("labels", "", Kind::Text, "JSON lines with id, judgement and perhaps rationale"),
        setting("language", "en", Kind::One(vec!["en", "zh"]), "the language of prompts"),
        setting("extraction", "robust", Kind::One(rules), "the rule whose verdicts records.jsonl holds"),
        setting("template", "", Kind::Text, "a prompt to be continued, with `instruction` and `statement`"),
        setting("temperature", "0", Kind::Number(0.0, 10.0), "sampling temperature"),
        setting("max-tokens", "2048", Kind::Whole(1, 1_000_000), "the longest reply, in tokens"),
        setting("judge", "", Kind::Text, "a model that judges the examples of every reply"),
        setting("second-judge", "", Kind::Text, "another one, for their agreement"),
        setting("step-judge", "no", Kind::One(vec!["no", "yes"]), "whether the judge judges steps, too"),
        setting("human", "", Kind::Text, "JSON lines with id and the members of a judgement, for agreement"),
        setting(
            "judge-tries",
            "3",
            Kind::Whole(1, 100),
            "replies of the judge, as long as they are malformed",
        ),
        setting("judge-temperature", "0.7", Kind::Number(0.0, 10.0), "sampling temperature of the judge"),
        setting("judge-max-tokens", "4096", Kind::Whole(1, 1_000_000), "the longest reply of the judge"),
    ];
    Settings::new(&known, &arguments.given_settings()?).map_err(Failure::input)
}

/// What `metrics.json` holds.
#[derive(Serialize)]
struct Metrics {
    /// By rule, where labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<BTreeMap<&'static str, Scores>>,
    /// What replies say, by rule and by field.
    said: BTreeMap<&'static str, BTreeMap<&'static str, Said>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judged: Option<JudgeMetrics>,
}

/// What judges say.
#[derive(Serialize)]
struct JudgeMetrics {
    model: String,
    rationales: Rationales,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<(String, Rationales, Agreement)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    human: Option<Agreement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<StepScore>,
    #[serde(skip)]
    lines: Vec<String>,
}

/// What is checked before anything is asked.
struct Plan {
    settings: Settings,
    statements: Vec<Statement>,
    files: Vec<DataFile>,
    style: Style,
    language: Language,
    problems: Vec<Problem>,
    prompts: Vec<String>,
    requests: Vec<Request>,
}

impl Plan {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let settings = settings(arguments)?;
        let names: Vec<&str> = Style::ALL.iter().map(|style| style.name()).collect();
        let style = match &arguments.strategy {
            None => Style::ChainOfThought,
            Some(name) => Style::ALL.into_iter().find(|style| style.name() == name).ok_or_else(|| {
                Failure::input(format!("no strategy `{name}`; there are {}", names.join(", ")))
            })?,
        };
        let (mut statements, files) = load(&arguments.data_folder(NAME, FETCH)?).map_err(Failure::input)?;
        if !settings.get("labels").is_empty() {
            add_labels(&mut statements, Path::new(settings.get("labels"))).map_err(Failure::input)?;
        }
        let is_scored = settings.get("mode") == "score";
        if is_scored {
            require_labels(&statements).map_err(|message| {
                Failure::input(format!("{message}. Give --set labels=FILE, or --set mode=predict"))
            })?;
        }
        if let Some(limit) = arguments.limit {
            if limit == 0 {
                return Err(Failure::input("--limit 0 leaves no statement"));
            }
            let (all, limit) = (statements.len(), limit.min(statements.len()));
            statements = (0..limit).map(|number| statements[number * all / limit].clone()).collect();
        }
        let language = if settings.get("language") == "zh" { Language::Zh } else { Language::En };
        let is_judged = !settings.get("judge").is_empty();
        for (key, needs) in [("second-judge", !is_judged), ("human", !is_judged)] {
            if !settings.get(key).is_empty() && needs {
                return Err(Failure::input(format!("{key} needs a judge: --set judge=MODEL")));
            }
        }
        if is_judged {
            let missing = statements.iter().find(|one| rationale(one, language).trim().is_empty());
            if !is_scored || missing.is_some() {
                let place = missing.map_or("mode=predict".into(), |one| one.origin.to_string());
                return Err(Failure::input(format!(
                    "a judge needs the label and the rationale of every statement; there is none at {place}"
                )));
            }
        }
        let template = Some(settings.get("template")).filter(|file| !file.is_empty()).map(Path::new);
        let prompter = Prompter::new(style, language, template).map_err(Failure::input)?;
        let sampling = Sampling {
            temperature: settings.get("temperature").parse().ok(),
            max_tokens: settings.get("max-tokens").parse().ok(),
            seed: arguments.seed,
            ..Sampling::default()
        };
        let problems: Vec<Problem> = statements.iter().map(|one| prompter.problem(one)).collect();
        let asked: Result<Vec<_>, _> =
            problems.iter().map(|problem| prompter.request(problem, &sampling)).collect();
        let (prompts, requests) = asked.map_err(Failure::input)?.into_iter().unzip();
        Ok(Plan { settings, statements, files, style, language, problems, prompts, requests })
    }

    fn is_scored(&self) -> bool {
        self.settings.get("mode") == "score"
    }

    fn rule(&self) -> Rule {
        Rule::from_name(self.settings.get("extraction")).unwrap_or_default()
    }
}

fn rationale(statement: &Statement, language: Language) -> &str {
    match language {
        Language::Zh if !statement.chinese_rationale.is_empty() => &statement.chinese_rationale,
        _ => &statement.rationale,
    }
}

/// Run the suite.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.samples.is_some_and(|samples| samples != 1) {
        return Err(Failure::input(format!("--samples has no meaning for {NAME}")));
    }
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    let start = Instant::now();
    let plan = Plan::new(arguments)?;
    let (name, model, replies, spent) = match (&arguments.model, &arguments.replies) {
        (Some(model), _) => {
            let model = open(model).map_err(Failure::input)?;
            let identity = Model::identity(&*model).clone();
            let name = super::run_name(NAME, &identity.model);
            let line = asking::line(&arguments.calling, &name, model)?;
            if arguments.calling.dry_run {
                let estimate = line.calls.estimate(&plan.requests);
                println!("{} calls; {} replies are there already", estimate.calls, estimate.reused);
                preview(&plan);
                return Ok(());
            }
            listen_for_interrupts();
            let rule = plan.rule();
            let mut said = [0usize; 3];
            let quiet = arguments.quiet || arguments.json;
            let (replies, spent) =
                asking::replies(&line.calls, &plan.requests, (NAME, "statement"), quiet, |_, reply| {
                    said[verdict(rule, reply).map_or(2, usize::from)] += 1;
                    format!("True {}, False {}, none {}", said[1], said[0], said[2])
                })?;
            (name, Some(identity), replies, spent_json(spent, &line.currency))
        }
        (None, Some(path)) => {
            let stem = path.parent().and_then(Path::file_name).or(path.file_stem());
            let stem = stem.map_or("replies".into(), |stem| stem.to_string_lossy().into_owned());
            let stem = stem.strip_prefix(&format!("{NAME}-")).unwrap_or(&stem).to_string();
            let name = super::run_name(NAME, &format!("{stem}-{}", plan.rule().name()));
            (name, None, recorded(&plan, path)?, Value::Null)
        }
        (None, None) if arguments.calling.dry_run => {
            preview(&plan);
            return Ok(());
        }
        (None, None) => {
            return Err(Failure::input("--model says what is asked (or --replies what is scored)"));
        }
    };
    if arguments.calling.dry_run {
        println!("{} statements with replies", replies.len());
        return Ok(());
    }
    let metrics = Metrics {
        scores: plan.is_scored().then(|| scores(&plan, &replies)),
        said: said(&plan, &replies),
        judged: judged(arguments, &plan, &name, &replies)?,
    };
    let run = Run { name, model, replies, spent, seconds: start.elapsed().as_secs_f64() };
    run.write(arguments, &plan, &metrics)
}

fn preview(plan: &Plan) {
    println!("{} statements; the first prompt:\n\n{}", plan.problems.len(), plan.prompts[0]);
}

/// The replies of a file, in the order of the statements.
fn recorded(plan: &Plan, path: &Path) -> Result<Vec<Reply>, Failure> {
    let recorded = Replies::open(path).map_err(Failure::input)?;
    let file = path.display();
    let matched = recorded.of(&plan.problems);
    if let Some(id) = matched.missing.first() {
        return Err(Failure::input(format!("{file} has no reply to `{id}`")));
    }
    (plan.problems.iter().zip(&matched.places))
        .map(|(problem, places)| {
            let (_, mut replies) = recorded.read(places).map_err(Failure::input)?;
            match replies.len() {
                1 => Ok(replies.remove(0)),
                count => {
                    Err(Failure::input(format!("{file}: {count} replies to `{}`, expected one", problem.id)))
                }
            }
        })
        .collect()
}

fn scores(plan: &Plan, replies: &[Reply]) -> BTreeMap<&'static str, Scores> {
    let of = |rule: Rule| {
        let decisions: Vec<Decision> = (plan.statements.iter().zip(replies))
            .filter_map(|(statement, reply)| {
                let predicted = verdict(rule, reply);
                Some(Decision { field: statement.field, truth: statement.judgement?, predicted })
            })
            .collect();
        (rule.name(), score(&decisions))
    };
    Rule::ALL.into_iter().map(of).collect()
}

fn said(plan: &Plan, replies: &[Reply]) -> BTreeMap<&'static str, BTreeMap<&'static str, Said>> {
    let of = |rule: Rule| {
        let mut fields: BTreeMap<&'static str, Vec<Option<bool>>> = BTreeMap::new();
        for (statement, reply) in plan.statements.iter().zip(replies) {
            let found = verdict(rule, reply);
            fields.entry(statement.field.name()).or_default().push(found);
            fields.entry("all").or_default().push(found);
        }
        (rule.name(), fields.into_iter().map(|(field, found)| (field, Said::of(found))).collect())
    };
    Rule::ALL.into_iter().map(of).collect()
}

/// Let the judges judge, if there are any.
fn judged(
    arguments: &Arguments,
    plan: &Plan,
    name: &str,
    replies: &[Reply],
) -> Result<Option<JudgeMetrics>, Failure> {
    let settings = &plan.settings;
    if settings.get("judge").is_empty() {
        return Ok(None);
    }
    let cases: Vec<Case<'_>> = (plan.statements.iter().zip(&plan.problems).zip(replies))
        .map(|((statement, problem), reply)| Case {
            statement: &problem.question,
            judgement: statement.judgement.unwrap_or_default(),
            rationale: rationale(statement, plan.language),
            prediction: verdict(plan.rule(), reply),
            reply: &reply.text,
        })
        .collect();
    let first = Judge::open(arguments, plan, name, settings.get("judge"))?;
    let judgements = first.examples(&cases)?;
    let verdicts: Vec<Option<Judgement>> = judgements.iter().map(|one| one.judgement).collect();
    let steps = (settings.get("step-judge") == "yes").then(|| first.steps(&cases)).transpose()?;
    // Its log is closed before the second judge, which may be of the same name, opens its own.
    let model = first.model.clone();
    drop(first);
    let second = match settings.get("second-judge") {
        "" => None,
        other => {
            let judge = Judge::open(arguments, plan, name, other)?;
            let theirs = judge.examples(&cases)?;
            let others: Vec<Option<Judgement>> = theirs.iter().map(|one| one.judgement).collect();
            Some((judge.model, Rationales::of(&theirs), agreement(&verdicts, &others)))
        }
    };
    let human = match settings.get("human") {
        "" => None,
        file => Some(agreement(&verdicts, &human(plan, Path::new(file))?)),
    };
    let line = |(problem, judged): (&Problem, &Judged)| {
        serde_json::json!({"id": problem.id, "judgement": judged.judgement, "malformed": judged.malformed,
            "reply": judged.text})
        .to_string()
    };
    Ok(Some(JudgeMetrics {
        lines: plan.problems.iter().zip(&judgements).map(line).collect(),
        rationales: Rationales::of(&judgements),
        model,
        second,
        human,
        steps,
    }))
}

/// A model that judges.
struct Judge<'a> {
    plan: &'a Plan,
    model: String,
    line: asking::Line,
    sampling: Sampling,
    tries: usize,
    quiet: bool,
}

impl<'a> Judge<'a> {
    fn open(arguments: &Arguments, plan: &'a Plan, run: &str, name: &str) -> Result<Self, Failure> {
        let model = open(name).map_err(Failure::input)?;
        let identity = Model::identity(&*model).model.clone();
        let own = super::run_name(&format!("{NAME}-judge"), &identity);
        let folder = match &arguments.calling.calls {
            Some(folder) => folder.join(&own),
            None => PathBuf::from("runs/calls").join(&own),
        };
        let get = |key| plan.settings.get(key);
        Ok(Judge {
            plan,
            line: asking::line_with_log(&arguments.calling, &format!("{run} by {own}"), model, &folder)?,
            sampling: Sampling {
                temperature: get("judge-temperature").parse().ok(),
                max_tokens: get("judge-max-tokens").parse().ok(),
                ..Sampling::default()
            },
            tries: get("judge-tries").parse().unwrap_or(1),
            quiet: arguments.quiet || arguments.json,
            model: identity,
        })
    }

    fn examples(&self, cases: &[Case<'_>]) -> Result<Vec<Judged>, Failure> {
        let requests = judge::requests(cases, self.plan.language, &self.sampling).map_err(Failure::work)?;
        let mut watch = Watch::new("judge", "reply", self.quiet, requests.len());
        let (mut judged, mut spent) = (Vec::new(), Spending::default());
        let done = judge::judge(&self.line.calls, &requests, self.tries, |number, one, cost| {
            spent = spent.plus(cost);
            judged.push(one);
            watch.show(number + 1, "");
        });
        watch.finish();
        done.map_err(|stop| stopped(&stop))?;
        Ok(judged)
    }

    fn steps(&self, cases: &[Case<'_>]) -> Result<StepScore, Failure> {
        let mut requests = Vec::new();
        for case in cases {
            requests
                .extend(steps::requests(case, self.plan.language, &self.sampling).map_err(Failure::work)?);
        }
        let (replies, _) =
            asking::replies(&self.line.calls, &requests, ("step judge", "chunk"), self.quiet, |_, _| {
                String::new()
            })?;
        Ok(StepScore::of(replies.iter().map(|reply| reply.text.as_str())))
    }
}

/// What people say of the replies, in the order of the statements.
fn human(plan: &Plan, path: &Path) -> Result<Vec<Option<Judgement>>, Failure> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        #[serde(flatten)]
        rest: serde_json::Map<String, Value>,
    }
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Failure::input(unreadable(path, &error)))?;
    let mut found = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| Failure::input(format!("{file}:{}: {message}", number + 1));
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let judgement = Judgement::read(&Value::Object(line.rest).to_string()).map_err(wrong)?;
        if found.insert(line.id.clone(), judgement).is_some() {
            return Err(wrong(format!("`{}` is there twice", line.id)));
        }
    }
    Ok(plan.problems.iter().map(|problem| found.get(&problem.id).copied()).collect())
}

/// A run that is to be written.
struct Run {
    name: String,
    model: Option<Identity>,
    replies: Vec<Reply>,
    spent: Value,
    seconds: f64,
}

impl Run {
    fn write(self, arguments: &Arguments, plan: &Plan, metrics: &Metrics) -> Result<(), Failure> {
        let records: Vec<Record> = (plan.problems.iter().zip(&plan.prompts))
            .zip(plan.statements.iter().zip(self.replies))
            .map(|((problem, prompt), (statement, reply))| {
                let grades = statement.judgement.filter(|_| plan.is_scored());
                let grades = grades.map(|truth| grade(plan.rule(), truth, &reply)).into_iter().collect();
                let asked = Record::new(problem, prompt.clone(), Some(plan.language), vec![reply]);
                Record { grades, ..asked }
            })
            .collect();
        let folder = RunFolder::begin(&self.name, arguments.output.as_deref())?;
        let mut files = vec![
            FileRecord::new("report.html", "tables and bars"),
            FileRecord::new("metrics.json", "the scores: the same for the same replies"),
            FileRecord::new("records.jsonl", "a line for each statement: prompt, reply, verdict"),
            FileRecord::new("predictions.jsonl", "what every rule finds in every reply"),
        ];
        let mut lines = Vec::new();
        Record::write(&records, &mut lines).map_err(Failure::work)?;
        folder.write("records.jsonl", lines)?;
        let predictions: String = (plan.statements.iter().zip(&records))
            .map(|(statement, record)| {
                let found: BTreeMap<&str, Option<bool>> =
                    Rule::ALL.iter().map(|rule| (rule.name(), verdict(*rule, &record.replies[0]))).collect();
                let line = serde_json::json!({"id": statement.id, "field": statement.field.name(),
                    "judgement": statement.judgement, "predicted": found});
                format!("{line}\n")
            })
            .collect();
        folder.write("predictions.jsonl", predictions)?;
        if let Some(judged) = &metrics.judged {
            folder.write("judgements.jsonl", judged.lines.join("\n") + "\n")?;
            files.push(FileRecord::new("judgements.jsonl", "what the judge says of every reply"));
        }
        if let Some(scores) = &metrics.scores {
            folder.write("leaderboard.csv", leaderboard(scores, metrics.judged.as_ref()).csv())?;
            files.push(FileRecord::new("leaderboard.csv", "scores by rule and field"));
        }
        folder.write("metrics.json", json_text(metrics)?)?;
        let model = self.model.as_ref().map_or("recorded replies", |model| model.model.as_str());
        folder.write("report.html", page(plan, metrics, model).html())?;
        let run = RunRecord {
            name: &self.name,
            suite: NAME,
            about: ABOUT,
            strategy: plan.style.name(),
            settings: plan.settings.values(),
            data: &plan.files,
            model: self.model.as_ref(),
            replies: arguments.replies.as_ref().map(|path| path.display().to_string()),
            limit: arguments.limit,
            samples: 1,
            seed: arguments.seed,
            command: std::env::args().collect(),
            finished: now(),
            seconds: self.seconds,
            spent: self.spent,
            versions: Versions::current(),
            machine: Machine::current(),
            result: metrics,
            files,
        };
        folder.write("run.json", json_text(&run)?)?;
        let folder = folder.finish()?;
        asking::print((arguments.json, arguments.quiet), &run, &folder, || {
            summary(plan, metrics, run.seconds, &folder)
        })
    }
}

fn f1_text(scores: &GroupScores) -> String {
    format!(
        "{} ({} to {}); over False and True {}; {} without a verdict; always True {}",
        percent(scores.macro_f1),
        percent(scores.macro_f1_interval.low),
        percent(scores.macro_f1_interval.high),
        percent(scores.f1_of_two),
        scores.unparsed,
        percent(scores.always_true)
    )
}

fn said_text(said: &Said) -> String {
    let share = percent(said.said_true as f64 / said.replies.max(1) as f64);
    format!(
        "True {} ({share}, which is the agreement with always True), False {}, none {}",
        said.said_true, said.said_false, said.unparsed
    )
}

fn judge_text(judged: &JudgeMetrics) -> String {
    let one = |model: &str, shares: &Rationales| {
        format!(
            "examples {}, strict {}, loose {} by {model}; {} malformed replies, {} replies not judged",
            percent(shares.examples),
            percent(shares.strict),
            percent(shares.loose),
            shares.malformed,
            shares.unjudged
        )
    };
    let kappas = |agreement: &Agreement| {
        let kappa = |value: Option<f64>| value.map_or("not defined".into(), |value| format!("{value:.3}"));
        format!(
            "kappa over {} replies: examples {}, strict {}, loose {}",
            agreement.replies,
            kappa(agreement.examples),
            kappa(agreement.strict),
            kappa(agreement.loose)
        )
    };
    let mut parts = vec![one(&judged.model, &judged.rationales)];
    if let Some((model, shares, agreement)) = &judged.second {
        parts.extend([one(model, shares), kappas(agreement)]);
    }
    parts.extend(judged.human.as_ref().map(|agreement| format!("people: {}", kappas(agreement))));
    parts.extend(
        judged.steps.map(|steps| {
            format!("steps: {} of {} chunks are not rejected", percent(steps.right), steps.chunks)
        }),
    );
    parts.join("; ")
}

fn summary(plan: &Plan, metrics: &Metrics, time: f64, folder: &Path) -> comfy_table::Table {
    let mut rows = vec![vec!["statements".to_string(), plan.statements.len().to_string()]];
    if let Some(scores) = &metrics.scores {
        let chosen = &scores[plan.rule().name()];
        rows.push(vec!["accuracy".into(), percent(chosen.all.accuracy)]);
        rows.push(vec!["macro F1".into(), f1_text(&chosen.all)]);
        for (field, scores) in &chosen.fields {
            rows.push(vec![format!("  {field}"), percent(scores.macro_f1)]);
        }
    }
    for (rule, fields) in &metrics.said {
        rows.push(vec![format!("said, {rule}"), said_text(&fields["all"])]);
    }
    rows.extend(metrics.judged.as_ref().map(|judged| vec!["judge".into(), judge_text(judged)]));
    rows.push(vec!["time".into(), seconds(time)]);
    rows.push(vec!["report".into(), folder.join("report.html").display().to_string()]);
    asking::table(rows)
}

/// A row for each rule and field, with the columns of the published leaderboard and what they hide.
fn leaderboard(scores: &BTreeMap<&'static str, Scores>, judged: Option<&JudgeMetrics>) -> Table {
    let mut table = Table::new([
        "rule",
        "field",
        "statements",
        "accuracy",
        "macro F1",
        "low",
        "high",
        "F1 of two",
        "without verdict",
        "always True",
        "examples",
        "strict",
        "loose",
    ]);
    for (rule, scores) in scores {
        let all = ("all", &scores.all, judged);
        let fields = scores.fields.iter().map(|(field, scores)| (field.name(), scores, None));
        for (field, group, judged) in std::iter::once(all).chain(fields) {
            let share = |value: f64| format!("{value:.4}");
            let rationales = judged.map(|judged| &judged.rationales);
            let optional =
                |value: fn(&Rationales) -> f64| rationales.map_or(String::new(), |one| share(value(one)));
            table.row([
                rule.to_string(),
                field.to_string(),
                group.statements.to_string(),
                share(group.accuracy),
                share(group.macro_f1),
                share(group.macro_f1_interval.low),
                share(group.macro_f1_interval.high),
                share(group.f1_of_two),
                group.unparsed.to_string(),
                share(group.always_true),
                optional(|one| one.examples),
                optional(|one| one.strict),
                optional(|one| one.loose),
            ]);
        }
    }
    table
}

fn page(plan: &Plan, metrics: &Metrics, model: &str) -> Page {
    let mut sections = Vec::new();
    let mut verdict = said_text(&metrics.said[plan.rule().name()]["all"]);
    if let Some(scores) = &metrics.scores {
        let chosen = &scores[plan.rule().name()];
        verdict = format!("macro F1 {}", f1_text(&chosen.all));
        let bar = |(name, group): (&str, &GroupScores)| Bar {
            name: name.to_string(),
            value: group.macro_f1,
            low: group.macro_f1_interval.low,
            high: group.macro_f1_interval.high,
        };
        let fields = chosen.fields.iter().map(|(field, group)| (field.name(), group));
        let drawn: Vec<Bar> = std::iter::once(("all", &chosen.all)).chain(fields).map(bar).collect();
        sections.push(Section {
            heading: "scores".into(),
            parts: vec![
                Part::Drawing(bars(&drawn), "macro F1 with 95 % intervals from 1,000 resamples".into()),
                Part::Table(leaderboard(scores, metrics.judged.as_ref())),
            ],
        });
    }
    let mut table = Table::new(["rule", "field", "replies", "True", "False", "none"]);
    for (rule, fields) in &metrics.said {
        for (field, said) in fields {
            let counts = [said.replies, said.said_true, said.said_false, said.unparsed];
            table.row([rule.to_string(), field.to_string()].into_iter().chain(counts.map(|n| n.to_string())));
        }
    }
    sections.push(Section { heading: "what replies say".into(), parts: vec![Part::Table(table)] });
    if let Some(judged) = &metrics.judged {
        let parts = vec![Part::Words(judge_text(judged))];
        sections.push(Section { heading: "rationales".into(), parts });
    }
    Page { title: format!("{NAME} · {model}"), verdict, about: ABOUT.into(), sections }
}
