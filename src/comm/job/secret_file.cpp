// SPDX-License-Identifier: Apache-2.0
#include "comm/job/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "comm/fd.h"
#include "comm/store/sha256.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr size_t kMostBytes = 4096;
constexpr std::string_view kHead = "tutti job 1";

// Its text, when it is a plain file of this user that nobody else may read; none when it is absent.
std::optional<std::string> read_private(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0 && errno == ENOENT) return std::nullopt;
  require(fd.get() >= 0, Errc::io, path, ": ",
          errno == ELOOP ? "a symbolic link; a plain file is wanted" : strerror(errno));
  struct stat status {};
  require(fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode), Errc::io, path,
          ": this is no plain file");
  require(status.st_uid == geteuid(), Errc::io, path, ": belongs to user ", status.st_uid, "; ",
          geteuid(), " is wanted");
  char mode[8];
  std::snprintf(mode, sizeof mode, "%03o", status.st_mode & 07777);
  require((status.st_mode & 077) == 0, Errc::io, path, ": has mode ", mode,
          "; 600 is wanted, since others must not read it");
  std::string text(kMostBytes, '\0');
  size_t bytes = 0;
  for (ssize_t got = 1; got != 0 && bytes < text.size();) {
    got = read(fd.get(), text.data() + bytes, text.size() - bytes);
    require(got >= 0 || errno == EINTR, Errc::io, path, ": ", strerror(errno));
    if (got > 0) bytes += static_cast<size_t>(got);
  }
  text.resize(bytes);
  return text;
}

std::string link_text(const char* path) {
  char text[PATH_MAX];
  const ssize_t bytes = readlink(path, text, sizeof text);
  return bytes > 0 ? std::string(text, static_cast<size_t>(bytes)) : "?";
}

// When the process started, in the kernel's ticks; 0 when there is none. Tells a process from a
// later one that got its number.
uint64_t start_of(pid_t pid) {
  std::ifstream file(join("/proc/", pid, "/stat"));
  std::string text;
  std::getline(file, text);
  // The name stands in brackets and may hold anything.
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
  std::string field;
  constexpr int kStartTime = 20;  // field 22, of which two stand before the bracket's end
  for (int i = 0; i < kStartTime; ++i) fields >> field;
  return field.empty() ? 0 : std::stoull(field);
}

struct Content {
  pid_t pid = 0;
  uint64_t start = 0;
  std::string pid_namespace;
  Announcement what;

  // Processes of other namespaces cannot be looked up: they count as living.
  bool is_alive() const {
    return pid_namespace != link_text("/proc/self/ns/pid") || start_of(pid) == start;
  }
};

std::optional<Content> parse(const std::string& text) {
  std::istringstream lines(text);
  std::string head, end;
  Content c;
  std::getline(lines, head);
  lines >> c.pid >> c.start >> c.pid_namespace >> c.what.secret >> c.what.port >> end;
  return lines && head == kHead && end == "end" ? std::optional(c) : std::nullopt;
}

std::string content_of(const Announcement& what) {
  return join(kHead, "\n", getpid(), " ", start_of(getpid()), " ", link_text("/proc/self/ns/pid"),
              "\n", what.secret, " ", what.port, "\nend\n");
}

void write_private(const std::string& path, const std::string& text) {
  unlink(path.c_str());
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  require(fd.get() >= 0, Errc::io, path, ": ", strerror(errno));
  const ssize_t written = write(fd.get(), text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return;
  const int error = written < 0 ? errno : ENOSPC;
  unlink(path.c_str());
  fail(Errc::io, path, ": ", strerror(error));
}

std::string file_prefix() { return join("tutti-", geteuid(), "-"); }

// Takes away what jobs that died while they met have left, an hour after: by then nobody replaces
// such a file.
void sweep(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.path().filename().string().starts_with(file_prefix())) continue;
    try {
      const auto text = read_private(entry.path());
      const auto found = text ? parse(*text) : std::nullopt;
      if (found && !found->is_alive() && entry.last_write_time() < old) fs::remove(entry, ignored);
    } catch (const std::exception&) {
      // Not ours to judge.
    }
  }
}

}  // namespace

std::string announcement_path(const std::string& folder, const std::string& job) {
  // What the variable names may be another host's.
  const bool is_there = std::filesystem::is_directory(folder);
  return join(is_there ? folder : "/tmp", "/", file_prefix(),
              hex_of(bytes_of(sha256(job))).substr(0, 24));
}

AnnouncementFile::AnnouncementFile(const std::string& path, const Announcement& what)
    : path_(path) {
  if (const auto text = read_private(path)) {
    const auto found = parse(*text);
    require_argument(!found || !found->is_alive(), path, ": process ", found ? found->pid : 0,
                     " has announced a job of the same name; each job needs its own");
  }
  sweep(std::filesystem::path(path).parent_path());
  // Whoever reads sees all of it or nothing.
  const std::string draft = join(path, ".", getpid());
  write_private(draft, content_of(what));
  if (rename(draft.c_str(), path.c_str()) == 0) return;
  const int error = errno;
  unlink(draft.c_str());
  fail(Errc::io, path, ": ", strerror(error));
}

AnnouncementFile::~AnnouncementFile() { unlink(path_.c_str()); }

Announcement await_announcement(const std::string& path, const Deadline& deadline) {
  for (;;) {
    const auto text = read_private(path);
    const auto found = text ? parse(*text) : std::nullopt;
    if (found && found->is_alive()) return found->what;
    require(!deadline.passed(), Errc::timeout, path,
            ": rank 0 did not announce the job there within ", deadline.seconds(), " s",
            found ? join("; the file is of process ", found->pid, ", which has died") : "");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string read_secret_file(const std::string& path) {
  const auto text = read_private(path);
  require(text.has_value(), Errc::not_found, path,
          ": there is no such file; one with the job's secret is wanted");
  constexpr size_t kLeastBytes = 16;
  const std::string secret = text->substr(0, text->find_last_not_of(" \t\r\n") + 1);
  require_argument(secret.size() >= kLeastBytes, path, ": holds a secret of ", secret.size(),
                   " bytes; at least ", kLeastBytes, " are wanted");
  return secret;
}

}  // namespace tutti::comm
