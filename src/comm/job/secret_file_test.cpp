// SPDX-License-Identifier: Apache-2.0
#include "comm/job/secret_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "core/error.h"

namespace tutti::comm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr double kPatience_s = 30;

class SecretFile : public testing::Test {
 protected:
  SecretFile() {
    std::string pattern = testing::TempDir() + "tutti-secret-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    path_ = announcement_path(folder_, "job");
  }
  ~SecretFile() override { fs::remove_all(folder_); }

  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
  }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  Announcement await(double seconds = kPatience_s) const {
    return await_announcement(path_, Deadline(seconds));
  }
  template <class F>
  static std::string failure_of(const F& body) {
    try {
      body();
    } catch (const Error& error) {
      return join(error.code(), ": ", error.what());
    }
    return "nothing was thrown";
  }

  std::string folder_, path_;
};

TEST_F(SecretFile, TellsSecretAndPort) {
  auto reader = std::async(std::launch::async, [&] { return await(); });
  const AnnouncementFile file(path_, {"s3cret", 4711});
  const Announcement found = reader.get();
  EXPECT_EQ(found.secret, "s3cret");
  EXPECT_EQ(found.port, 4711);
}

TEST_F(SecretFile, IsForItsOwnerOnly) {
  const AnnouncementFile file(path_, {"s", 1});
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(SecretFile, IsGoneAtTheEnd) {
  { const AnnouncementFile file(path_, {"s", 1}); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(SecretFile, OfADeadProcessIsReplaced) {
  const pid_t child = fork();
  if (child == 0) {
    new AnnouncementFile(path_, {"old", 1});
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  EXPECT_THAT(failure_of([&] { await(0.05); }),
              HasSubstr(join("timeout: ", path_,
                             ": rank 0 did not announce the job there within "
                             "0.05 s; the file is of process ",
                             child, ", which has died")));
  const AnnouncementFile file(path_, {"new", 2});
  EXPECT_EQ(await().secret, "new");
}

TEST_F(SecretFile, OfAJobThatDiedHoursAgoIsRemovedByAnother) {
  const std::string old = announcement_path(folder_, "old"),
                    fresh = announcement_path(folder_, "x");
  const pid_t child = fork();
  if (child == 0) {
    new AnnouncementFile(old, {"s", 1});
    new AnnouncementFile(fresh, {"s", 1});
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  const std::string alive = announcement_path(folder_, "alive");
  const AnnouncementFile living(alive, {"s", 1});
  fs::last_write_time(alive, fs::file_time_type::clock::now() - std::chrono::hours(2));
  const AnnouncementFile file(path_, {"new", 2});
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_TRUE(fs::exists(alive));
}

TEST_F(SecretFile, OfAProcessThatHasAnothersNumberNowIsOld) {
  std::string content;
  {
    const AnnouncementFile file(path_, {"old", 1});
    content = text();
  }
  // This process, but started at another time.
  std::istringstream lines(content);
  std::string head, pid, start;
  std::getline(lines, head);
  lines >> pid >> start;
  ASSERT_EQ(pid, std::to_string(getpid()));
  content.replace(content.find(start), start.size(), start + "1");
  write(content);
  EXPECT_THAT(failure_of([&] { await(0.05); }), HasSubstr("which has died"));
}

TEST_F(SecretFile, OfALivingProcessStays) {
  const AnnouncementFile file(path_, {"first", 1});
  EXPECT_THAT(failure_of([&] {
                AnnouncementFile second(path_, {"second", 2});
              }),
              HasSubstr(join("process ", getpid(), " has announced a job of the same name")));
  EXPECT_EQ(await().secret, "first");
}

TEST_F(SecretFile, OfNobodyIsWaitedFor) {
  EXPECT_THAT(failure_of([&] { await(0.05); }), HasSubstr("did not announce the job"));
  write("tutti job 1\n12 34");
  EXPECT_THAT(failure_of([&] { await(0.05); }), HasSubstr("did not announce the job"));
}

TEST_F(SecretFile, ThatOthersMayReadIsRefused) {
  write("anything", 0640);
  EXPECT_THAT(failure_of([&] { await(); }), HasSubstr("has mode 640; 600 is wanted"));
  EXPECT_THAT(failure_of([&] { AnnouncementFile file(path_, {"s", 1}); }), HasSubstr("mode 640"));
}

TEST_F(SecretFile, OfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  write("anything");
  ASSERT_EQ(chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_THAT(failure_of([&] { await(); }), HasSubstr("belongs to user 12345; 0 is wanted"));
}

TEST_F(SecretFile, IsNoLinkAndNoPipe) {
  fs::create_symlink("/dev/null", path_);
  EXPECT_THAT(failure_of([&] { await(); }), HasSubstr("a symbolic link"));
  fs::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(failure_of([&] { await(); }), HasSubstr("no plain file"));
}

TEST_F(SecretFile, GivenByTheUserIsReadWithoutItsLineEnd) {
  write("0123456789abcdef\n");
  EXPECT_EQ(read_secret_file(path_), "0123456789abcdef");
  write("0123456789abcde\n");
  EXPECT_THAT(failure_of([&] { read_secret_file(path_); }),
              HasSubstr("invalid_argument: " + path_ + ": holds a secret of 15 bytes"));
  EXPECT_THAT(failure_of([&] { read_secret_file(path_ + "x"); }), HasSubstr("not_found"));
}

TEST_F(SecretFile, HasANamePerJobAndAFolderThatIsThere) {
  EXPECT_NE(announcement_path(folder_, "a"), announcement_path(folder_, "b"));
  EXPECT_TRUE(announcement_path(folder_ + "/nowhere", "a").starts_with("/tmp/tutti-"));
}

}  // namespace
}  // namespace tutti::comm
