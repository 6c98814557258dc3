// SPDX-License-Identifier: Apache-2.0
#include "core/output_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.h"
#include "core/mapped_file.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class OutputFileTest : public testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / join("tutti_output_file_test.", ::getpid());
  void SetUp() override { fs::create_directory(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
};

TEST_F(OutputFileTest, AppearsWithAllItsBytesAtCommit) {
  OutputFile file(folder_ / "a");
  file.write("head");
  file.write_zeros(1000);
  file.write("tail");
  EXPECT_EQ(file.position(), 1008u);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  file.commit();
  EXPECT_EQ(content(folder_ / "a"), "head" + std::string(1000, '\0') + "tail");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, LeavesTheOldFileAndNothingElseWithoutCommit) {
  std::ofstream(folder_ / "a") << "old";
  { OutputFile(folder_ / "a").write("new"); }
  EXPECT_EQ(content(folder_ / "a"), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, RefusesAFolderThatDoesNotExist) {
  try {
    OutputFile file(folder_ / "none" / "a");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::io);
  }
}

TEST_F(OutputFileTest, IsReadBackByMappedFile) {
  OutputFile file(folder_ / "a");
  file.write("bytes");
  file.commit();
  const auto mapped = MappedFile::open(folder_ / "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped->bytes().data()), 5), "bytes");
  EXPECT_EQ(mapped->bytes().size(), 5u);
}

TEST(MappedFile, ReadsBytesInMemoryLikeAFile) {
  const auto file = MappedFile::from_bytes({std::byte{1}, std::byte{2}}, "here");
  EXPECT_EQ(file->path(), "here");
  ASSERT_EQ(file->bytes().size(), 2u);
  EXPECT_EQ(file->bytes()[1], std::byte{2});
  EXPECT_TRUE(MappedFile::from_bytes({}, "empty")->bytes().empty());
}

}  // namespace
}  // namespace tutti
