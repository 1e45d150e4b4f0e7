use super::*;

fn rendered(source: &str, messages: &[(&str, &str)], answer: bool) -> Result<String, String> {
    let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let special = special.map(|(name, text)| (name.to_string(), text.to_string())).into();
    let message = |&(role, content): &(&str, &str)| Message { role: role.into(), content: content.into() };
    let messages: Vec<Message> = messages.iter().map(message).collect();
    let template = ChatTemplate::new(source, special).map_err(|error| error.to_string())?;
    template.render(&messages, answer).map_err(|error| error.to_string())
}

const TURNS: &str = "\
{{ bos_token }}
{%- if messages[0].role == 'system' -%}
    {%- set system = messages[0]['content'] | trim -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set rest = messages -%}
{%- endif -%}
{%- for message in rest -%}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('users and assistants must take turns') }}
    {%- endif -%}
    {%- if message.role == 'assistant' %}{% generation %}{{ message.content.strip() }}{% endgeneration %}{{ eos_token }}
    {%- else %}[{{ ((system ~ '\\n') if system is defined and loop.first else '') + message['content'].strip() }}]
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %} answer:{% endif %}
";

#[test]
fn turns_are_written_as_the_template_says() {
    let chat = [("system", " be brief "), ("user", " 1+1? "), ("assistant", " 2 "), ("user", "why?")];
    assert_eq!(rendered(TURNS, &chat, true).unwrap(), "<s>[be brief\n1+1?]2</s>[why?] answer:");
    assert_eq!(rendered(TURNS, &chat[1..2], false).unwrap(), "<s>[1+1?]");
    let refused = rendered(TURNS, &[("user", "a"), ("user", "b")], true).unwrap_err();
    assert_eq!(refused, "the chat template refuses these messages: users and assistants must take turns");
    assert!(rendered("{% if %}", &[], true).unwrap_err().starts_with("the chat template fails: "));
}

/// What Python 3.11 with Jinja 3.1 prints for the same templates.
#[test]
fn values_are_printed_as_in_python() {
    for (source, expected) in [
        ("{{ true }} {{ none }} {{ 1.0 }} {{ 7 // 2 }}", "True None 1.0 3"),
        ("{{ ['a', \"it's\", 1, [none]] }}", "['a', \"it's\", 1, [None]]"),
        ("{{ {'k': {'x': false}} }}", "{'k': {'x': False}}"),
        ("{{ {'a': [1, 2.5, 'é\"\\n']} | tojson }}", "{\"a\": [1, 2.5, \"é\\\"\\n\"]}"),
        (
            "{{ {'a': [1, {}], 'b': []} | tojson(indent=2) }}",
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}",
        ),
        ("{{ 'a b c'.split(' ')[-1].upper() }}", "C"),
        ("{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"),
        ("a\n{% if true %}\n  b\n{% endif %}\nc\n", "a\n  b\nc"),
        ("{{ missing }}|{{ 'x' if missing is defined else 'y' }}", "|y"),
        (
            "{% set ns = namespace(n=0) %}{% for x in [1, 2] %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
            "3",
        ),
    ] {
        assert_eq!(rendered(source, &[], false).unwrap(), expected, "{source}");
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    // A leap day, the first day of a century that has one, and the last second of a year.
    for (seconds, expected) in [
        (951_782_400, "29 Feb 2000, Tuesday 00:00:00"),
        (1_704_067_199, "31 Dec 2023, Sunday 23:59:59"),
        (4_107_542_400, "01 Mar 2100, Monday 00:00:00"),
    ] {
        assert_eq!(formatted_time("%d %b %Y, %A %T", seconds).unwrap(), expected);
    }
    assert!(formatted_time("%Q", 0).unwrap_err().to_string().contains("%Q"));
}
