// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "cli/arguments.h"

namespace tutti::cli {

ProgressBar::ProgressBar() : terminal_(isatty(STDERR_FILENO) != 0) {}
ProgressBar::~ProgressBar() { clear(); }

ProgressCallback ProgressBar::callback() {
  return [this](std::string_view what, double done) {
    if (!terminal_) return;
    std::string bar(20, '.');
    std::fill_n(bar.begin(), static_cast<size_t>(20 * std::clamp(done, 0.0, 1.0)), '#');
    std::fprintf(stderr, "\r\033[K[%s] %.*s", bar.c_str(), static_cast<int>(what.size()),
                 what.data());
    std::fflush(stderr);
    drawn_ = true;
  };
}

void ProgressBar::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void log_to_stderr(LogLevel level) {
  set_log(level, [](LogLevel, std::string_view message) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
  });
}

namespace {

// A number, with a unit or without; nothing, too.
bool is_number(std::string_view cell) {
  const size_t blank = std::min(cell.find(' '), cell.size());
  const std::string_view unit = cell.substr(blank);
  const bool known =
      unit.empty() || unit == " B" || unit.ends_with("iB") ||
      (unit.size() == 2 && std::string_view("kMGTP").find(unit[1]) != std::string_view::npos);
  return known &&
         cell.substr(0, blank).find_first_not_of("0123456789.e+-%naif") == std::string_view::npos;
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  const size_t columns = rows[0].size();
  std::vector<size_t> widths(columns);
  std::vector<bool> right(columns, rows.size() > 1);
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t c = 0; c < columns; ++c) {
      const std::string& cell = rows[r][c];
      widths[c] = std::max(widths[c], cell.size());
      if (r > 0 && !is_number(cell)) right[c] = false;
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < columns; ++c) {
      const std::string blanks(widths[c] - row[c].size(), ' ');
      line += (c ? "  " : "") + (right[c] ? blanks + row[c] : row[c] + blanks);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string bytes_text(size_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  char text[40];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string shape_text(const Extents& shape) {
  std::string text;
  for (const Extent& extent : shape) text += (text.empty() ? "" : ", ") + extent.text;
  return "[" + text + "]";
}

std::pair<std::string, Dims> parse_shape(const std::string& text) {
  const UsageError error("shape " + text + " is not understood; NAME=2x77 is wanted");
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw error;
  Dims shape;
  for (size_t at = equals + 1; at < text.size();) {
    const size_t end = std::min(text.find_first_of("x,", at), text.size());
    int64_t extent = 0;
    const auto read = std::from_chars(text.data() + at, text.data() + end, extent);
    if (read.ec != std::errc() || read.ptr != text.data() + end || extent < 0 ||
        shape.rank() == Dims::kMaxRank || end + 1 == text.size())
      throw error;
    shape.push_back(extent);
    at = end + 1;
  }
  return {text.substr(0, equals), shape};
}

std::vector<InputShapes> parse_shapes(const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::vector<Dims>>> by_name;
  size_t sets = 0;
  for (const std::string& text : texts) {
    const auto [name, shape] = parse_shape(text);
    auto found = std::find_if(by_name.begin(), by_name.end(),
                              [&, &name = name](const auto& entry) { return entry.first == name; });
    if (found == by_name.end()) found = by_name.insert(by_name.end(), {name, {}});
    found->second.push_back(shape);
    sets = std::max(sets, found->second.size());
  }
  std::vector<InputShapes> result(sets);
  for (size_t i = 0; i < sets; ++i)
    for (const auto& [name, shapes] : by_name)
      result[i].emplace_back(name, shapes[std::min(i, shapes.size() - 1)]);
  return result;
}

std::optional<DType> parse_weights_dtype(const std::string& text) {
  if (text.empty() || text == "keep") return std::nullopt;
  if (text == "f32") return DType::f32;
  if (text == "bf16") return DType::bf16;
  throw UsageError("option --dtype is " + text + "; keep, f32 or bf16 is wanted");
}

bool is_model(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) throw UsageError(path + ": there is no such file");
  return path.ends_with(".pt2");
}

}  // namespace tutti::cli
