// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace tutti::cli {
namespace {

const Option kHelp = {"--help", "", ""};

const Option& find(std::span<const Option> options, std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  if (name == "--help" || name == "-h") return kHelp;
  for (const Option& option : options)
    if (option.name == name) return option;
  std::string known;
  for (const Option& option : options) known += (known.empty() ? "" : ", ") + option.name;
  throw UsageError("option " + name + " is not known; there are: " + known);
}

}  // namespace

Arguments::Arguments(std::span<const std::string> line, std::span<const Option> options,
                     bool program_follows) {
  for (size_t i = 0; i < line.size(); ++i) {
    const std::string& word = line[i];
    const bool is_word = word.size() < 2 || word[0] != '-';
    if (word == "--" || (is_word && program_follows)) {
      words_.insert(words_.end(), line.begin() + static_cast<std::ptrdiff_t>(i) + !is_word,
                    line.end());
      return;
    }
    if (is_word) {
      words_.push_back(word);
      continue;
    }
    const size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const Option& option = find(options, word.substr(0, equals));
    if (values_.contains(option.name) && !option.repeats)
      throw UsageError("option " + option.name + " is given twice");
    std::vector<std::string>& values = values_[option.name];
    if (option.argument.empty()) {
      if (equals != std::string::npos) throw UsageError("option " + option.name + " has no value");
    } else if (equals != std::string::npos) {
      values.push_back(word.substr(equals + 1));
    } else if (i + 1 < line.size()) {
      values.push_back(line[++i]);
    } else {
      throw UsageError("option " + option.name + " wants a value: " + option.argument);
    }
  }
}

std::string Arguments::value(const std::string& name, const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? otherwise : found->second[0];
}

std::vector<std::string> Arguments::values(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::vector<std::string> Arguments::without(std::initializer_list<std::string_view> names) const {
  std::vector<std::string> line;
  for (const auto& [option, values] : values_) {
    if (std::find(names.begin(), names.end(), option) != names.end()) continue;
    if (values.empty()) line.push_back(option);
    for (const std::string& value : values) line.insert(line.end(), {option, value});
  }
  line.push_back("--");
  line.insert(line.end(), words_.begin(), words_.end());
  return line;
}

int Arguments::number(const std::string& name, int otherwise, int least) const {
  if (!has(name)) return otherwise;
  const std::string text = value(name);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least)
    throw UsageError("option " + name + " is " + text + "; a whole number of at least " +
                     std::to_string(least) + " is wanted");
  return number;
}

double Arguments::seconds(const std::string& name, double otherwise) const {
  if (!has(name)) return otherwise;
  const std::string text = value(name);
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(number > 0))
    throw UsageError("option " + name + " is " + text + "; a number of seconds is wanted");
  return number;
}

std::string help(const Command& command) {
  std::string text = "usage: tutti " + command.usage + "\n\n" + command.summary + "\n";
  if (!command.details.empty()) text += "\n" + command.details + "\n";
  size_t width = 0;
  const auto head = [](const Option& option) {
    return "  " + option.name + (option.argument.empty() ? "" : " " + option.argument) +
           (option.repeats ? " ..." : "");
  };
  for (const Option& option : command.options) width = std::max(width, head(option).size() + 2);
  if (width != 0) text += "\noptions:\n";
  for (const Option& option : command.options) {
    std::string line = head(option);
    line.append(width - line.size(), ' ');
    // Further lines of the text stand under the first.
    for (char c : option.doc)
      line += c == '\n' ? "\n" + std::string(width, ' ') : std::string(1, c);
    text += line + "\n";
  }
  return text;
}

}  // namespace tutti::cli
