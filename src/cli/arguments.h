// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::cli {

/// A command line that cannot be understood; the message says why.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An option of a command.
struct Option {
  std::string name;      ///< "--input"
  std::string argument;  ///< "FILE", or empty for a switch
  std::string doc;
  bool repeats = false;
};

/// A command's line, taken apart.
class Arguments {
 public:
  /// "--name value", "--name=value" and "-o value"; "--" ends the options, and so does the first
  /// word when a program is to follow. "_" in a name is as good as "-". --help and -h are always
  /// there. Throws UsageError for an option that is not there, given twice, or lacks its value.
  Arguments(std::span<const std::string> line, std::span<const Option> options,
            bool program_follows = false);

  bool has(const std::string& name) const { return values_.contains(name); }
  /// The value, or `otherwise`.
  std::string value(const std::string& name, const std::string& otherwise = {}) const;
  std::vector<std::string> values(const std::string& name) const;
  /// A whole number of at least `least`; throws UsageError.
  int number(const std::string& name, int otherwise, int least) const;
  /// A number of seconds, more than 0.
  double seconds(const std::string& name, double otherwise) const;
  /// A line that gives the same without these options.
  std::vector<std::string> without(std::initializer_list<std::string_view> names) const;
  /// What is no option.
  const std::vector<std::string>& words() const { return words_; }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> words_;
};

/// One command of the program.
struct Command {
  std::string name, usage, summary;
  std::string details;  ///< more of the help, after the summary
  std::vector<Option> options;
  int (*run)(const Arguments& arguments);  ///< gives the exit code
  bool program_follows = false;            ///< the words are a program and its own options
};

/// The text of --help.
std::string help(const Command& command);

// The commands, one file each.
Command build_command();
Command run_command();
Command inspect_command();
Command ops_command();
Command doctor_command();
Command launch_command();
Command bench_command();

}  // namespace tutti::cli
