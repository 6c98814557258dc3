// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "comm/deadline.h"

namespace tutti::comm {

/// What the ranks of one host must know to find their store.
struct Announcement {
  std::string secret;
  int port = 0;
};

/// Where the announcement of this job lies: a file of this user that nobody else may read, in the
/// folder, or in /tmp when it is not there.
std::string announcement_path(const std::string& folder, const std::string& job);

/// Leaves an announcement for the other ranks of this host; takes it away at the end.
class AnnouncementFile {
 public:
  /// Replaces what a process that has died left there, and removes what jobs that died hours ago
  /// left beside it. Throws io when the file cannot be made or is
  /// another user's, invalid_argument when a process that lives announces a job of this name.
  AnnouncementFile(const std::string& path, const Announcement& what);
  ~AnnouncementFile();
  AnnouncementFile(const AnnouncementFile&) = delete;
  AnnouncementFile& operator=(const AnnouncementFile&) = delete;

 private:
  std::string path_;
};

/// Waits until a living process has announced the job; throws timeout naming the path, and io for a
/// file that is another user's or that others may read.
Announcement await_announcement(const std::string& path, const Deadline& deadline);

/// The secret in a file that its owner made for a job on several hosts: its text without the
/// white space at the end. Throws not_found, io as above, and invalid_argument for less than 16
/// bytes.
std::string read_secret_file(const std::string& path);

}  // namespace tutti::comm
