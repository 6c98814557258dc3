// SPDX-License-Identifier: Apache-2.0
#include "cli/rank_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include <algorithm>

#include "cli/arguments.h"

namespace tutti::cli {
namespace {

constexpr size_t kMostLine = 1 << 16;  // longer lines are cut

}  // namespace

void Sink::add(std::string_view text) {
  if (!closed_) waiting_ += text;
}

void Sink::flush() {
  // A pipe that can be written to takes so much at once.
  const ssize_t written = write(fd_, waiting_.data(), std::min<size_t>(waiting_.size(), PIPE_BUF));
  if (written > 0) waiting_.erase(0, static_cast<size_t>(written));
  if (written >= 0 || errno == EINTR || errno == EAGAIN) return;
  closed_ = true;
  waiting_.clear();
}

void Tail::add(std::string_view line) {
  lines_.emplace_back(line.substr(0, kMostColumns));
  if (lines_.size() > kLines) lines_.pop_front();
}

Stream::Stream(Descriptor pipe, Sink* sink, const std::string& prefix, const std::string& path,
               Tail* tail)
    : pipe_(std::move(pipe)), sink_(sink), prefix_(prefix), path_(path), tail_(tail) {
  if (path.empty()) return;
  file_ = Descriptor(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file_.get() < 0) throw UsageError(path + ": cannot be written: " + strerror(errno));
}

bool Stream::read_some() {
  char buffer[16384];
  const ssize_t got = read(pipe_.get(), buffer, sizeof buffer);
  if (got < 0) return errno == EINTR;
  if (got == 0) {
    finish();
    return false;
  }
  take(std::string_view(buffer, static_cast<size_t>(got)));
  return true;
}

void Stream::finish() {
  if (!line_.empty()) put_line(line_);
  line_.clear();
  file_.reset();
  pipe_.reset();
}

void Stream::take(std::string_view text) {
  store(text);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const size_t room = std::min(end, kMostLine - line_.size());
    line_ += text.substr(0, room);
    if (room == end && end == text.size()) return;
    put_line(line_);
    line_.clear();
    text.remove_prefix(room == end ? end + 1 : room);
  }
}

void Stream::put_line(std::string_view line) {
  if (sink_ != nullptr) sink_->add(prefix_ + std::string(line) + "\n");
  tail_->add(line);
}

// A job outlives a full disk; its log says nothing more.
void Stream::store(std::string_view text) {
  while (file_.get() >= 0 && !text.empty()) {
    const ssize_t written = write(file_.get(), text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      file_.reset();
      put_line(path_ + ": " + strerror(errno));
    }
  }
}

}  // namespace tutti::cli
