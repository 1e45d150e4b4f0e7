//! Replies with the verdict that a reader finds, and what the published rules find. T true, F false, - none.

use super::*;

const REPLIES: &[(&str, &str)] = &[
    // reply, then robust, api, open
    ("\\boxed{True}", "TTT"),
    ("\\boxed{False}", "FFF"),
    ("\\boxed{ true }", "TTT"),
    ("\\boxed{TRUE}", "TTT"),
    ("\\boxed{True.}", "T--"),
    ("The answer is $\\boxed{False}$.", "FFF"),
    // boxes in boxes, and dress
    ("\\boxed{\\text{True}}", "T-T"),
    ("\\boxed{\\text{False}}", "F-F"),
    ("\\boxed{\\mathbf{False}}.", "F-F"),
    ("\\boxed{\\boxed{True}}", "T-T"),
    ("\\boxed {False}", "F-F"),
    ("\\fbox{True}", "T-T"),
    ("The answer is \\boxed{\\textbf{(B) False}}", "F-F"),
    ("\\boxed{\\text{The statement is false}}", "F-F"),
    ("\\boxed{\\text{False (counterexample: } f(x)=|x|)}", "F-F"),
    ("Final answer: $\\text{False}$", "F-F"),
    // several boxes
    ("First \\boxed{True}. On second thought, no: \\boxed{False}", "FTF"),
    ("\\boxed{1} is the limit, so \\boxed{False}", "F-F"),
    ("\\boxed{False} since f(x)=\\boxed{x^2}", "FFF"),
    ("\\boxed{\\text{False}}. Note that \\boxed{x=1} is the only solution.", "F--"),
    // other words in boxes
    ("\\boxed{Yes}", "T--"),
    ("\\boxed{No}", "F--"),
    ("\\boxed{correct}", "T--"),
    ("\\boxed{Incorrect}", "F--"),
    ("\\boxed{\\text{not true}}", "F-T"),
    ("\\boxed{Not True}", "F-T"),
    ("\\boxed{}", "---"),
    // Chinese boxes
    ("\\boxed{真}", "T--"),
    ("\\boxed{假}", "F--"),
    ("所以命题为\\boxed{假}", "F--"),
    ("\\boxed{\\text{真}}", "T--"),
    ("\\boxed{正确}", "T--"),
    ("\\boxed{错误}", "F--"),
    ("\\boxed{对}", "T--"),
    ("\\boxed{错}", "F--"),
    ("\\boxed{不正确}", "F--"),
    ("\\boxed{该命题不成立}", "F--"),
    // cut off
    ("\\boxed{False", "F-F"),
    ("\\boxed{Tr", "---"),
    ("Let us consider the function f(x) = x^2 on [0,1]. Since f is continuous, we", "---"),
    ("We first check the case n=1, where the inequality is true. Next, for n=2 we need to", "---"),
    ("The question is whether the statement is true. Take a compact set K and", "---"),
    ("", "---"),
    ("   \n", "---"),
    ("...", "---"),
    // the first sentence of the rule for open models
    ("The statement is true. Because every compact set is closed.", "T-T"),
    ("The statement is false. Consider f(x) = x.", "F-F"),
    ("The statement is True.", "T-T"),
    ("the statement is FALSE. Take 0.5 as an example", "F-F"),
    ("The statement is true.\n\nExample: f(x) = x^2 works.", "T-T"),
    ("The given statement is false. Consider f(x)=|x|.", "F--"),
    ("**The statement is false.**", "F--"),
    ("The statement is true", "T-T"),
    // negation
    ("So the statement is not true.", "F-T"),
    ("Hence the claim is not false.", "T-F"),
    ("Therefore the statement isn't true.", "F-T"),
    ("Therefore the statement isn’t true.", "F-T"),
    ("Therefore, the statement does not hold.", "F--"),
    ("Therefore, the proposition holds.", "T--"),
    ("Thus the claim fails.", "F--"),
    ("This is not correct.", "F--"),
    ("That is not incorrect.", "T--"),
    ("No, the statement is not always true.", "F-T"),
    ("The statement is never true.", "F-T"),
    ("The statement is far from true.", "F-T"),
    ("The statement cannot be true.", "F-T"),
    ("Hence the statement is untrue.", "F-T"),
    ("The statement is not.", "F--"),
    ("In general it is false, so we cannot say the statement is true.", "F-T"),
    ("It is not true that every such ring is a field, so the claim fails: \\boxed{False}", "FFT"),
    ("Thus, the original statement is true, not false.", "T-T"),
    ("The statement is false, not true.", "F-T"),
    ("No, this does not hold in general.", "F--"),
    // what only asks or supposes
    ("It remains to decide whether the statement is true or false.", "--T"),
    ("The statement may be true or false depending on X.", "--T"),
    ("I need to check whether the statement is true", "--T"),
    ("Suppose the statement is true", "--T"),
    ("Thus equality holds.", "---"),
    // several things that are true or false
    ("The statement is false, although its converse is true.", "F-T"),
    ("The converse is false, but the statement is true.", "T-T"),
    ("It is true that f is bounded, but the statement is false.", "F-T"),
    ("The statement is true if the space is compact, but in general it is false.", "F-T"),
    ("The statement holds only if X is complete, hence it is false.", "F-F"),
    ("The statement is true for n=1 but false for n=2.", "F-T"),
    ("If f is continuous then it is integrable, so the statement is true.", "T-T"),
    ("Since if x=0 then f(x)=1, the statement is false.", "F-F"),
    ("The statement is false because if we take x = 0 then f is not continuous.", "F-F"),
    ("The statement \"if f is continuous then f is differentiable\" is false.", "F-F"),
    ("The answer is \"False\".", "F-F"),
    ("True or false? It is false.", "F-T"),
    ("Statement: true or false? \\boxed{\\text{False}}", "F-T"),
    // short replies and labels
    ("True", "T-T"),
    ("False.", "F-F"),
    ("Yes.", "T--"),
    ("Yes, the statement is true.", "T-T"),
    ("Answer: True", "T-T"),
    ("**Answer:** **False**", "F-F"),
    ("Judgement: True\n", "T-T"),
    ("The statement is: False", "F-F"),
    ("This is incorrect.", "F--"),
    ("This is wrong.", "F--"),
    ("This is a valid statement.", "T--"),
    ("The assertion is disproved by f(x)=1/x.", "F--"),
    // words after the verdict
    ("The statement is false. QED.", "F-F"),
    ("Thus it is false. $\\blacksquare$", "F--"),
    ("Thus it is true. This completes the proof.", "T--"),
    // Chinese sentences
    ("因此该命题为真。", "T--"),
    ("因此该命题为假。", "F--"),
    ("所以命题是真命题。", "T--"),
    ("所以该命题是假命题。", "F--"),
    ("所以这个命题不成立。", "F--"),
    ("故命题成立。", "T--"),
    ("该说法不正确。", "F--"),
    ("该说法是正确的。", "T--"),
    ("因此结论是错误的。", "F--"),
    ("命题并不为真。", "F--"),
    ("不，该命题不总是成立。", "F--"),
    ("该命题不一定为真", "F--"),
    ("这个命题是错的。", "F--"),
    ("答案：假", "F--"),
    ("答案是：真", "T--"),
    ("命题：若 f 连续，则 f 可导。结论：假", "F--"),
    ("我们要判断命题是真还是假。", "---"),
    ("请判断命题是否正确", "---"),
    ("该矩阵是对称的。", "---"),
    ("于是A是真子集。", "---"),
    ("故等式成立。", "---"),
    ("命题为假。证毕。", "F--"),
];

#[test]
fn every_rule_finds_in_every_reply_what_it_is_to_find() {
    assert!(REPLIES.len() >= 80, "{}", REPLIES.len());
    let sign = |verdict: Option<bool>| match verdict {
        Some(true) => 'T',
        Some(false) => 'F',
        None => '-',
    };
    let wrong: Vec<String> = (REPLIES.iter())
        .filter_map(|(reply, expected)| {
            let found: String = Rule::ALL.iter().map(|rule| sign(rule.verdict(reply))).collect();
            (found != *expected).then(|| format!("{reply:?}: {found}, expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_reply_is_too_odd() {
    for reply in ["\\boxed{", "\\boxed{{{", "}}}\\boxed{}}", "。。。", "\u{0}", "n't", "\"", "``x''"] {
        for rule in Rule::ALL {
            let _ = rule.verdict(reply);
        }
    }
    assert_eq!(Rule::from_name("open"), Some(Rule::Open));
    assert_eq!(Rule::from_name("opened"), None);
}
