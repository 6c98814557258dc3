// SPDX-License-Identifier: Apache-2.0
// The budgets of the house: lengths, macros, documentation, first lines.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // below the project
  std::string text;
  std::vector<std::string> lines;
};

std::vector<Source> read_sources() {
  std::vector<Source> sources;
  const fs::path root = TUTTI_SOURCE_DIR;
  for (const char* folder : {"include", "src", "tests", "examples", "bench"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      Source& source = sources.emplace_back();
      source.path = fs::relative(entry.path(), root).generic_string();
      source.text = text.str();
      std::istringstream lines(source.text);
      for (std::string line; std::getline(lines, line);) source.lines.push_back(line);
    }
  }
  return sources;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> kSources = read_sources();
  return kSources;
}

bool is_test(const Source& source) {
  return source.path.ends_with("_test.cpp") || source.path.starts_with("tests/");
}

// The end of the literal or comment that starts at `at`, or `at` when none does.
size_t skip_literal(const std::string& text, size_t at) {
  const auto after = [&](size_t found, size_t length) {
    return found == std::string::npos ? text.size() : found + length;
  };
  if (text.compare(at, 2, "//") == 0) return std::min(text.find('\n', at), text.size());
  if (text.compare(at, 2, "/*") == 0) return after(text.find("*/", at + 2), 2);
  if (text.compare(at, 2, "R\"") == 0) {
    const size_t open = text.find('(', at);
    const std::string close = ")" + text.substr(at + 2, open - at - 2) + "\"";
    return after(text.find(close, open), close.size());
  }
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return at;
  // 1'000: a separator of digits, no character.
  if (quote == '\'' && at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1]))) return at;
  size_t end = at + 1;
  while (end < text.size() && text[end] != quote) end += text[end] == '\\' ? 2 : 1;
  return end + 1;
}

// The text with comments, literals and preprocessor lines blanked; line ends stay.
std::string code_of(const std::string& text) {
  std::string code = text;
  bool line_start = true;
  for (size_t at = 0; at < text.size();) {
    size_t end = skip_literal(text, at);
    if (line_start && text[at] == '#') end = std::min(text.find('\n', at), text.size());
    if (end == at) {
      line_start = text[at] == '\n' || (line_start && text[at] == ' ');
      ++at;
      continue;
    }
    for (; at < end && at < text.size(); ++at)
      if (text[at] != '\n') code[at] = ' ';
  }
  return code;
}

struct FunctionLength {
  std::string name;
  size_t line, lines;
};

// Outermost brace blocks whose head has parentheses and is no class, namespace or initializer.
std::vector<FunctionLength> functions_of(const Source& source) {
  static const std::regex kOther(R"(^\s*(namespace|class|struct|enum|union|extern)\b[^(]*$)");
  const std::string code = code_of(source.text);
  std::vector<FunctionLength> functions;
  std::vector<bool> is_function;
  size_t inside = 0, line = 1, start = 0;
  std::string head, name;
  for (char c : code) {
    if (c == '\n') ++line;
    if (c == '{') {
      const bool function = head.find('(') != std::string::npos && head.find(')') < head.size() &&
                            head.find(" = ") == std::string::npos &&
                            !std::regex_search(head, kOther);
      if (function && inside++ == 0) {
        start = line - static_cast<size_t>(std::count(
                           head.begin() + static_cast<long>(head.find_first_not_of(" \n")),
                           head.end(), '\n'));
        name = head.substr(0, head.find('('));
      }
      is_function.push_back(function);
      head.clear();
    } else if (c == '}') {
      if (!is_function.empty()) {
        if (is_function.back() && --inside == 0)
          functions.push_back({name, start, line - start + 1});
        is_function.pop_back();
      }
      head.clear();
    } else if (c == ';') {
      head.clear();
    } else {
      head += c;
    }
  }
  return functions;
}

TEST(Style, FilesAreAtMost600Lines) {
  for (const Source& source : sources()) EXPECT_LE(source.lines.size(), 600u) << source.path;
}

TEST(Style, FunctionsAreAtMost80Lines) {
  size_t count = 0;
  for (const Source& source : sources())
    for (const FunctionLength& function : functions_of(source)) {
      ++count;
      EXPECT_LE(function.lines, 80u) << source.path << ":" << function.line << function.name;
    }
  EXPECT_GT(count, 1000u) << "functions are not found any more";
}

TEST(Style, EveryFileNamesItsLicenceFirst) {
  for (const Source& source : sources())
    EXPECT_EQ(source.lines.empty() ? "" : source.lines[0], "// SPDX-License-Identifier: Apache-2.0")
        << source.path;
}

TEST(Style, HeadersAreIncludedOnce) {
  for (const Source& source : sources())
    EXPECT_TRUE(!source.path.ends_with(".h") ||
                source.text.find("#pragma once\n") != std::string::npos)
        << source.path;
}

TEST(Style, LinesHave100ColumnsAndNoTabs) {
  for (const Source& source : sources())
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const std::string& line = source.lines[i];
      const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
      });
      const bool text = line.find('"') != std::string::npos || line.find("  %") == 0;
      EXPECT_TRUE(columns <= 100 || text) << source.path << ":" << i + 1;
      EXPECT_EQ(line.find('\t'), std::string::npos) << source.path << ":" << i + 1;
    }
}

TEST(Style, ThereAreAtMostFiveMacros) {
  std::set<std::string> macros;
  static const std::regex kDefine(R"(^\s*#\s*define\s+(\w+))"), kOption(R"(\b(TUTTI_[A-Z_]+)\b)");
  for (const Source& source : sources()) {
    if (source.path == "tests/style_test.cpp") continue;
    std::istringstream lines(source.text);
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (std::regex_search(line, match, kDefine)) macros.insert(match[1]);
      if (line.find("TUTTI_") != std::string::npos && !line.starts_with("//") &&
          line.find('"') == std::string::npos && std::regex_search(line, match, kOption))
        macros.insert(match[1]);
    }
  }
  std::string names;
  for (const std::string& name : macros) names += name + " ";
  EXPECT_LE(macros.size(), 5u) << names;
}

TEST(Style, FeaturesAreAskedForInAtMostThreeFiles) {
  std::string files;
  size_t count = 0;
  static const std::regex kFeature(R"(#\s*(if|elif|ifdef|ifndef)\b.*TUTTI_)");
  for (const Source& source : sources())
    if (source.path != "tests/style_test.cpp" && std::regex_search(source.text, kFeature)) {
      ++count;
      files += source.path + " ";
    }
  EXPECT_LE(count, 3u) << files;
}

TEST(Style, OnlyTheProgramPrintsExitsOrReadsTheEnvironment) {
  static const std::regex kCall(R"((^|[^\w.>])(std::)?(printf|puts|exit|abort|getenv)\()");
  for (const Source& source : sources()) {
    if (!source.path.starts_with("src/") || source.path.starts_with("src/cli/") || is_test(source))
      continue;
    // Launchers tell a process its rank by the environment, and in no other way.
    if (source.path == "src/comm/job/environment.cpp") continue;
    std::istringstream lines(code_of(source.text));
    size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      EXPECT_FALSE(std::regex_search(line, kCall)) << source.path << ":" << number << ": " << line;
    }
  }
}

TEST(Style, TheReadmeShowsTheExampleOfRanks) {
  std::ostringstream readme;
  readme << std::ifstream(TUTTI_SOURCE_DIR "/README.md").rdbuf();
  const auto example = std::find_if(sources().begin(), sources().end(), [](const Source& source) {
    return source.path == "examples/ranks.cpp";
  });
  ASSERT_NE(example, sources().end());
  const size_t main = example->text.find("int main()");
  ASSERT_NE(main, std::string::npos);
  EXPECT_NE(readme.str().find(example->text.substr(main)), std::string::npos);
}

TEST(Style, NoFolderIsCalledAfterNothing) {
  for (const Source& source : sources())
    for (const char* name : {"utils/", "util/", "common/", "misc/", "helpers/"})
      EXPECT_EQ(source.path.find(name), std::string::npos) << source.path;
}

TEST(Style, ThePublicDoorIsSmall) {
  size_t files = 0, lines = 0;
  for (const Source& source : sources()) {
    if (!source.path.starts_with("include/")) continue;
    ++files;
    lines += source.lines.size();
    EXPECT_EQ(source.text.find("#if"), std::string::npos) << source.path;
  }
  EXPECT_LE(files, 8u);
  EXPECT_LE(lines, 1200u);
}

TEST(Style, CommentsOfDeclarationsHaveAtMost12Lines) {
  for (const Source& source : sources()) {
    size_t length = 0;
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const size_t start = source.lines[i].find_first_not_of(' ');
      const bool comment =
          start != std::string::npos && source.lines[i].compare(start, 3, "///") == 0;
      length = comment ? length + 1 : 0;
      EXPECT_LE(length, 12u) << source.path << ":" << i + 1;
    }
  }
}

// Declarations stand in groups between empty lines. Each group outside of private parts and bodies
// starts with a comment; the first of a class is told by the comment of the class.
TEST(Style, PublicDeclarationsAreDocumented) {
  for (const Source& source : sources()) {
    if (!source.path.starts_with("include/")) continue;
    bool group_start = false, is_private = false;
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const std::string& line = source.lines[i];
      const size_t first = line.find_first_not_of(' ');
      const std::string text = first == std::string::npos ? "" : line.substr(first);
      if (text == "private:") is_private = true;
      if (line == "};" || text == "public:") is_private = false;
      const bool free = text.empty() || text[0] == '#' || text[0] == '}' ||
                        text.starts_with("namespace") || text.ends_with("public:") ||
                        text.starts_with("//") || line.find("///<") != std::string::npos ||
                        std::regex_match(text, std::regex(R"((class|struct) \w+;)"));
      if (group_start && !free && !is_private && first <= 2)
        ADD_FAILURE() << source.path << ":" << i + 1 << ": no comment tells what this is: " << text;
      group_start = text.empty();
    }
  }
}

}  // namespace
