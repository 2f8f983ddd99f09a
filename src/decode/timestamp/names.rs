//! Months and weekdays, as the languages of operating systems write them.

/// For each month its names and abbreviations, in lower case: English, German, French, Spanish, Italian, Portuguese,
/// Dutch, the Scandinavian languages, Polish and Russian (glibc's and CLDR's).
const MONTHS: [&[&str]; 12] = [
    &[
        "jan", "january", "januar", "januari", "jän", "jänner", "janv", "janvier", "ene", "enero", "gen", "gennaio", "janeiro",
        "sty", "stycznia", "янв", "января",
    ],
    &[
        "feb", "february", "februar", "februari", "febr", "fév", "févr", "février", "febrero", "febbraio", "fev",
        "fevereiro", "lut", "lutego", "фев", "февр", "февраля",
    ],
    &["mar", "march", "mär", "märz", "mrz", "mars", "marzo", "março", "mrt", "maart", "marca", "мар", "марта"],
    &["apr", "april", "avr", "avril", "abr", "abril", "aprile", "kwi", "kwietnia", "апр", "апреля"],
    &["may", "mai", "mayo", "mag", "maggio", "maio", "mei", "maj", "maja", "май", "мая"],
    &["jun", "june", "juni", "juin", "junio", "giu", "giugno", "junho", "cze", "czerwca", "июн", "июня"],
    &["jul", "july", "juli", "juil", "juillet", "julio", "lug", "luglio", "julho", "lip", "lipca", "июл", "июля"],
    &["aug", "august", "aoû", "août", "ago", "agosto", "augustus", "augusti", "sie", "sierpnia", "авг", "августа"],
    &[
        "sep", "september", "sept", "septembre", "septiembre", "set", "sett", "settembre", "setembro", "wrz", "września",
        "сен", "сент", "сентября",
    ],
    &[
        "oct", "october", "okt", "oktober", "octobre", "octubre", "ott", "ottobre", "out", "outubro", "paź",
        "października", "окт", "октября",
    ],
    &["nov", "november", "novembre", "noviembre", "novembro", "lis", "listopada", "ноя", "нояб", "ноября"],
    &[
        "dec", "december", "dez", "dezember", "déc", "décembre", "dic", "diciembre", "dicembre", "dezembro", "des",
        "desember", "gru", "grudnia", "дек", "декабря",
    ],
];

const WEEKDAYS: &[&str] = &[
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
    "sunday", "tues", "thur", "thurs", "mo", "di", "mi", "do", "fr", "sa", "so", "montag", "dienstag", "mittwoch",
    "donnerstag", "freitag", "samstag", "sonntag", "lun", "mar", "mer", "jeu", "ven", "sam", "dim", "lundi", "mardi",
    "mercredi", "jeudi", "vendredi", "samedi", "dimanche", "mié", "jue", "vie", "sáb", "dom", "lunes", "martes",
    "miércoles", "jueves", "viernes", "sábado", "domingo", "gio", "sab", "seg", "ter", "qua", "qui", "sex", "wo", "vr",
    "za", "zo", "ma", "man", "tir", "ons", "tor", "fre", "lør", "søn", "tis", "lör", "sön", "pon", "wto", "śro", "czw",
    "pią", "sob", "nie", "пн", "вт", "ср", "чт", "пт", "сб", "вс",
];

/// Bytes of the longest name.
const LONGEST: usize = 24;

/// The month that a word names, from 1.
pub(super) fn month(word: &[u8]) -> Option<i8> {
    lower(word, |word| {
        let index = MONTHS.iter().position(|names| names.contains(&word))?;
        i8::try_from(index + 1).ok()
    })
}

/// Whether a word is a day of the week.
pub(super) fn is_weekday(word: &[u8]) -> bool {
    lower(word, |word| WEEKDAYS.contains(&word).then_some(())).is_some()
}

/// English words are the rule: they are compared without an allocation.
fn lower<T>(word: &[u8], find: impl Fn(&str) -> Option<T>) -> Option<T> {
    if word.len() < 2 || word.len() > LONGEST {
        return None;
    }
    if word.is_ascii() {
        let mut folded = [0; LONGEST];
        let folded = &mut folded[..word.len()];
        folded.copy_from_slice(word);
        folded.make_ascii_lowercase();
        return find(std::str::from_utf8(folded).ok()?);
    }
    find(&std::str::from_utf8(word).ok()?.to_lowercase())
}
