//! Results laid out for a person's eyes: tables, sizes, times, and text from outside made safe to show.

/// A table: a line of headings, then the rows; columns are as wide as their widest cell. Cells are made printable.
pub(crate) fn table<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let mut widths = headings.map(width);
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = line(&headings, &widths);
    for row in &rows {
        text.push('\n');
        text.push_str(&line(&row.each_ref().map(String::as_str), &widths));
    }
    text
}

fn line<const COLUMNS: usize>(cells: &[&str; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut text = String::new();
    for (cell, widest) in cells.iter().zip(widths) {
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', widest - width(cell) + 2));
    }
    text.trim_end().to_owned()
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// Text that came from a file or a server, without the control characters that could move the cursor or rewrite what the
/// terminal shows. Line feeds stay.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if is_printable(character) { character } else { '\u{fffd}' }).collect()
}

fn is_printable(character: char) -> bool {
    // Bidirectional overrides make a name read as another one.
    let reorders = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character == '\n' || !(character.is_control() || reorders)
}

/// A size in the largest unit that leaves at least one.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Sizes beyond 2^53 bytes lose their last digits here, which are not shown anyway.
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A moment in UTC, `2026-11-22 07:10:33`, after the civil-from-days algorithm (H. Hinnant, "chrono-compatible low-level
/// date algorithms").
pub(crate) fn moment(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_blanks() {
        let rows = [["é".to_owned(), "1".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["A", "B"], &rows), "A     B\né     1\nlong");
    }

    #[test]
    fn what_a_file_is_called_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}gpj\nc"), "a\u{fffd}[2Jb\u{fffd}gpj\nc");
    }

    #[test]
    fn sizes_and_moments() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1 << 50), "1024.0 TiB");
        assert_eq!(moment(0), "1970-01-01 00:00:00");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(moment(1_795_331_433_123), "2026-11-22 07:10:33");
        assert_eq!(moment(-1), "1969-12-31 23:59:59");
    }
}
