//! Which language a text is in: by its script, and for the languages in Latin letters by their most frequent words.
//!
//! Words of scripts that put blanks between them, and characters of Han, kana and Thai, count alike, so that a name in Latin
//! letters is one word in a Chinese text. Good enough to see whether a model reasons in the language that it was asked in; no more languages are told apart than
//! [`Language`] has.

use super::Language;

/// The language of a text, or `None` if it has no words, or its words do not tell.
pub fn identify(text: &str) -> Option<Language> {
    let scripts = Scripts::of(text);
    let (script, _) = scripts.largest()?;
    match script {
        Script::Latin => by_words(text),
        Script::Cyrillic => Some(Language::Ru),
        Script::Bengali => Some(Language::Bn),
        Script::Telugu => Some(Language::Te),
        Script::Thai => Some(Language::Th),
        // A Japanese sentence has kana; Chinese has none.
        Script::Han | Script::Kana => {
            let is_japanese = 20 * scripts.count(Script::Kana) >= scripts.count(Script::Han);
            Some(if is_japanese { Language::Ja } else { Language::Zh })
        }
        Script::Other => None,
    }
}

/// Whether most of a text is in the script that a language is written in; `None` if it has no letters.
pub fn is_in_script(text: &str, language: Language) -> Option<bool> {
    let scripts = Scripts::of(text);
    let all: usize = scripts.counts.iter().sum();
    let own = match language {
        Language::Ja => scripts.count(Script::Han) + scripts.count(Script::Kana),
        Language::Zh => scripts.count(Script::Han),
        Language::Bn => scripts.count(Script::Bengali),
        Language::Ru => scripts.count(Script::Cyrillic),
        Language::Te => scripts.count(Script::Telugu),
        Language::Th => scripts.count(Script::Thai),
        Language::De | Language::En | Language::Es | Language::Fr | Language::Sw => {
            scripts.count(Script::Latin)
        }
    };
    (all > 0).then_some(2 * own > all)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Cyrillic,
    Bengali,
    Telugu,
    Thai,
    Han,
    Kana,
    Other,
}

impl Script {
    const ALL: [Script; 8] = [
        Script::Latin,
        Script::Cyrillic,
        Script::Bengali,
        Script::Telugu,
        Script::Thai,
        Script::Han,
        Script::Kana,
        Script::Other,
    ];

    /// The script of a letter.
    fn of(character: char) -> Option<Self> {
        match character {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Some(Script::Latin),
            '\u{400}'..='\u{52f}' => Some(Script::Cyrillic),
            '\u{980}'..='\u{9ff}' => Some(Script::Bengali),
            '\u{c00}'..='\u{c7f}' => Some(Script::Telugu),
            '\u{e00}'..='\u{e7f}' => Some(Script::Thai),
            '\u{3040}'..='\u{30ff}' => Some(Script::Kana),
            '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => Some(Script::Han),
            _ => character.is_alphabetic().then_some(Script::Other),
        }
    }
}

/// How many words or characters there are of each script.
struct Scripts {
    counts: [usize; 8],
}

impl Scripts {
    fn of(text: &str) -> Self {
        let mut counts = [0; 8];
        let mut before = None;
        for character in text.chars() {
            let script = Script::of(character);
            if let Some(script) = script {
                let is_alone = matches!(script, Script::Han | Script::Kana | Script::Thai);
                counts[script as usize] += usize::from(is_alone || before != Some(script));
            }
            before = script;
        }
        Scripts { counts }
    }

    fn count(&self, script: Script) -> usize {
        self.counts[script as usize]
    }

    /// The largest script; kana and Han together are one. `None` without letters.
    fn largest(&self) -> Option<(Script, usize)> {
        let together = self.count(Script::Han) + self.count(Script::Kana);
        let counts = Script::ALL.iter().map(|script| match script {
            Script::Han => (*script, together),
            script => (*script, self.count(*script)),
        });
        counts.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count)
    }
}

/// Frequent words of the languages in Latin letters: articles, prepositions, pronouns, forms of "to be" and "to have", question
/// words, and what word problems say most. A word may stand for several languages.
const WORDS: [(Language, &str); 5] = [
    (
        Language::De,
        "der die das den dem des ein eine einen einem einer und oder ist sind war hat haben hatte wird werden wie viel viele \
         für von mit auf aus bei nach zu zum zur im es sie er ihr ihre sein seine nicht auch wenn dann also insgesamt pro \
         jede jeder jedes jeden mehr als noch um am an nur beträgt kostet kauft gibt bleiben antwort tag woche",
    ),
    (
        Language::En,
        "the a an of and or to in is are was were has have had he she it they his her their how many much does do did for \
         with on at from by so then than that this each per total more if will be there after one two answer each if \
         needs buys sells gives left costs makes week day hours",
    ),
    (
        Language::Es,
        "el la los las un una unos unas de del y o en así es son fue eran tiene tenía hay ha su sus se que qué cuánto cuánta \
         cuántos cuántas por para con al más menos si cada total lo le les no como entonces después cuesta compra días \
         respuesta queda quedan hizo dio",
    ),
    (
        Language::Fr,
        "le la les un une des du de et ou en est sont était a ont avait il elle ils elles son sa ses leur leurs combien que \
         qui pour par avec au aux dans sur plus moins si chaque ce cette ne pas donc alors après coûte achète jour jours \
         réponse reste total fait",
    ),
    (
        Language::Sw,
        "na ya wa za la kwa ni katika kila wake yake zake ana alikuwa ina wana hii hizo hiyo huo kama ngapi kiasi gani \
         jumla jibu pia baada kabla zaidi kuliko watu siku wiki saa lakini hivyo kisha moja mbili tatu nne tano sita \
         yote wote zote cha vya mwa kati hadi ikiwa pesa shilingi dola alinunua aliuza idadi",
    ),
];

/// The language of which a text in Latin letters has the most frequent words; `None` without any, or with equally many of
/// two.
fn by_words(text: &str) -> Option<Language> {
    let mut counts = [0usize; WORDS.len()];
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        for ((_, words), count) in WORDS.iter().zip(&mut counts) {
            *count += usize::from(words.split_whitespace().any(|known| known == word));
        }
    }
    let most = *counts.iter().max()?;
    let mut best = WORDS.iter().zip(counts).filter(|(_, count)| *count == most && most > 0);
    match (best.next(), best.next()) {
        (Some(((language, _), _)), None) => Some(*language),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_words_tell_languages_apart() {
        for (language, text) in [
            (Language::Bn, "সে মে মাসে 24টি বিক্রি করেছে।"),
            (Language::De, "Im Mai hat sie 24 verkauft, also insgesamt 72."),
            (Language::En, "She sold 24 clips in May, so there are 72."),
            (Language::Es, "En mayo vendió 24, así que en total son 72."),
            (Language::Fr, "En mai, elle en a vendu 24, donc il y en a 72."),
            (Language::Ja, "5月に24個を売ったので、合計は72個です。"),
            (Language::Ru, "В мае она продала 24, значит всего 72."),
            (Language::Sw, "Mwezi wa Mei aliuza 24, kwa hivyo jumla ni 72."),
            (Language::Te, "ఆమె మేలో 24 అమ్మింది."),
            (Language::Th, "ในเดือนพฤษภาคมเธอขายได้ 24"),
            (Language::Zh, "她五月份卖了24个，所以一共是72个。"),
        ] {
            assert_eq!(identify(text), Some(language), "{text}");
            assert_eq!(is_in_script(text, language), Some(true), "{text}");
        }
        assert_eq!((identify("48/2 = 24"), is_in_script("24.", Language::De)), (None, None));
        assert_eq!(identify("xyz"), None);
        assert_eq!(is_in_script("She sold 24.", Language::Zh), Some(false));
        assert_eq!(is_in_script("Она продала 24 USD.", Language::Ru), Some(true));
        assert_eq!(is_in_script("Zachary比Jonathan多做了多少个俯卧撑？", Language::Zh), Some(true));
    }
}
