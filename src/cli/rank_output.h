// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "cli/spawn.h"

namespace tutti::cli {

/// Where lines go: standard output or error. What its reader does not take yet is kept.
class Sink {
 public:
  explicit Sink(int fd) : fd_(fd) {}

  int fd() const { return fd_; }
  bool is_empty() const { return waiting_.empty(); }
  /// So much waits that no more should be read.
  bool is_full() const { return waiting_.size() > kMost; }
  void add(std::string_view text);
  /// Writes a piece; called when poll says that it can be written to.
  void flush();

 private:
  static constexpr size_t kMost = 1 << 20;
  int fd_;
  std::string waiting_;
  bool closed_ = false;  // nobody reads: what comes is dropped
};

/// The last lines of a rank, for the report.
class Tail {
 public:
  void add(std::string_view line);
  const std::deque<std::string>& lines() const { return lines_; }

 private:
  static constexpr size_t kLines = 12, kMostColumns = 500;
  std::deque<std::string> lines_;
};

/// One stream of a rank: takes lines from a pipe to a sink, a file and the tail.
class Stream {
 public:
  /// No sink: only file and tail. A path that is empty: no file.
  Stream(Descriptor pipe, Sink* sink, const std::string& prefix, const std::string& path,
         Tail* tail);

  int fd() const { return pipe_.get(); }
  bool is_open() const { return pipe_.get() >= 0; }
  const Sink* sink() const { return sink_; }
  /// Reads what is there; false when there is nothing now. Closes at the pipe's end.
  bool read_some();
  /// The last line may lack its end.
  void finish();

 private:
  void take(std::string_view text);
  void put_line(std::string_view line);
  void store(std::string_view text);

  Descriptor pipe_;
  Sink* sink_;
  std::string prefix_, line_;
  std::string path_;
  Descriptor file_;
  Tail* tail_;
};

}  // namespace tutti::cli
