// SPDX-License-Identifier: Apache-2.0
#include "import/zip.h"

#include <gtest/gtest.h>

#include "core/test_data.h"
#include "import/crc32.h"
#include "import/zip_for_tests.h"

namespace tutti {
namespace {

std::string text(const ZipArchive& zip, std::string_view name) {
  const ZipEntry* entry = zip.find(name);
  if (entry == nullptr) return "<none>";
  return std::string(as_text(zip.bytes(*entry)));
}

std::string open_error(const std::shared_ptr<const MappedFile>& file) {
  return error_of(Errc::corrupt, [&] { ZipArchive zip(file); });
}

TestZip two_files() {
  TestZip zip;
  zip.add("a", "first").local_extra = std::string("FB\3\0ZZZ", 7);
  zip.add("folder/b", "second");
  return zip;
}

TEST(Zip, GivesStoredEntriesInPlace) {
  const auto file = two_files().file();
  const ZipArchive zip(file);
  ASSERT_EQ(zip.entries().size(), 2u);
  EXPECT_EQ(zip.entries()[1].name, "folder/b");
  EXPECT_EQ(text(zip, "a"), "first");
  EXPECT_EQ(text(zip, "folder/b"), "second");
  EXPECT_EQ(text(zip, "folder"), "<none>");
  const auto bytes = zip.bytes(*zip.find("a"));
  EXPECT_GE(bytes.data(), file->bytes().data());
  EXPECT_LT(bytes.data(), file->bytes().data() + file->bytes().size());
}

TEST(Zip, TakesThePayloadOffsetFromTheLocalHeader) {
  TestZip writer;
  TestZip::Entry& entry = writer.add("a", "content");
  entry.local_extra = std::string(4, 'x') + std::string(60, '\0');
  entry.directory_extra = "";
  EXPECT_EQ(text(ZipArchive(writer.file()), "a"), "content");
}

TEST(Zip, ReadsZip64Fields) {
  TestZip writer;
  writer.add("a", "first").zip64 = true;
  writer.add("b", "second").zip64 = true;
  writer.zip64_end = true;
  const ZipArchive zip(writer.file());
  EXPECT_EQ(text(zip, "a"), "first");
  EXPECT_EQ(text(zip, "b"), "second");
}

TEST(Zip, SkipsACommentAtTheEnd) {
  TestZip writer = two_files();
  writer.comment = std::string("PK\5\6 is no end record", 22);
  EXPECT_EQ(text(ZipArchive(writer.file()), "folder/b"), "second");
}

TEST(Zip, OpensAnEmptyArchive) { EXPECT_TRUE(ZipArchive(TestZip().file()).entries().empty()); }

TEST(Zip, RefusesANameThatOccursTwice) {
  TestZip writer = two_files();
  writer.add("a", "again");
  EXPECT_EQ(open_error(writer.file()), "test.zip: a: occurs twice in the archive");
}

TEST(Zip, NamesTheMethodOfACompressedEntry) {
  TestZip writer;
  writer.add("x.npy", "content").method = 8;
  const ZipArchive zip(writer.file("x.npz"));
  const std::string message = error_of(Errc::unsupported, [&] { zip.bytes(*zip.find("x.npy")); });
  EXPECT_NE(message.find("x.npz: x.npy: is compressed with method 8 (deflate)"), std::string::npos);
  EXPECT_NE(message.find("numpy.savez_compressed"), std::string::npos);
}

TEST(Zip, RefusesAnEncryptedEntry) {
  TestZip writer;
  writer.add("a", "content").flags = 1;
  const ZipArchive zip(writer.file());
  EXPECT_EQ(error_of(Errc::unsupported, [&] { zip.bytes(*zip.find("a")); }),
            "test.zip: a: is encrypted");
}

TEST(Zip, SaysThatAFileIsNoArchive) {
  EXPECT_NE(open_error(TestZip::mapped("short")).find("is no zip archive"), std::string::npos);
  EXPECT_NE(open_error(TestZip::mapped(std::string(100, 'x'))).find("is no zip archive"),
            std::string::npos);
  const std::string cut = two_files().bytes();
  EXPECT_NE(open_error(TestZip::mapped(cut.substr(0, cut.size() - 1))).find("was cut off"),
            std::string::npos);
}

TEST(Zip, RefusesSizesBeyondTheContents) {
  std::string bytes = two_files().bytes();
  const size_t size_at = bytes.find("PK\1\2") + 20;
  for (size_t at : {size_at, size_at + 4, size_t{18}, size_t{22}}) bytes[at + 1] = 1;
  const ZipArchive zip(TestZip::mapped(bytes));
  EXPECT_NE(error_of(Errc::corrupt, [&] { zip.bytes(*zip.find("a")); }).find("reach beyond"),
            std::string::npos);
}

TEST(Zip, RefusesALocalHeaderOfAnotherName) {
  std::string bytes = two_files().bytes();
  bytes[30] = 'c';
  const ZipArchive zip(TestZip::mapped(bytes));
  EXPECT_NE(error_of(Errc::corrupt, [&] { zip.bytes(*zip.find("a")); }).find("is another's"),
            std::string::npos);
}

TEST(Zip, FindsAChangedByteByItsCrc) {
  std::string bytes = two_files().bytes();
  const ZipArchive good(TestZip::mapped(bytes));
  for (const ZipEntry& entry : good.entries()) EXPECT_NO_THROW(good.check_crc(entry));
  bytes[bytes.find("second")] = 'S';
  const ZipArchive bad(TestZip::mapped(bytes));
  EXPECT_NO_THROW(bad.check_crc(bad.entries()[0]));
  EXPECT_NE(error_of(Errc::corrupt, [&] { bad.check_crc(bad.entries()[1]); }).find("CRC-32"),
            std::string::npos);
}

TEST(Zip, AnyDamageIsAnErrorOrHarmless) {
  TestZip writer = two_files();
  writer.add("c", "third").zip64 = true;
  writer.zip64_end = true;
  writer.comment = "comment";
  damage_everywhere(writer.bytes(), [](const std::string& damaged) {
    const ZipArchive zip(TestZip::mapped(damaged));
    for (const ZipEntry& entry : zip.entries()) {
      size_t sum = 0;
      for (std::byte b : zip.bytes(entry)) sum += static_cast<size_t>(b);
      EXPECT_LE(sum, 255 * damaged.size());
    }
  });
}

TEST(Zip, FindsEachOfManyEntries) {
  TestZip writer;
  for (int i = 0; i < 70000; ++i) writer.add(join("model/data/weights/weight_", i), "");
  writer.zip64_end = true;
  const ZipArchive zip(writer.file());
  ASSERT_EQ(zip.entries().size(), 70000u);
  for (const ZipEntry& entry : zip.entries()) ASSERT_EQ(zip.find(entry.name), &entry);
}

TEST(Zip, ReadsPyTorchArchivesWithRightCrcs) {
  for (const char* name : {"versions/llama_torch26.pt2", "versions/nested.pt2", "clip_text.pt2"}) {
    const ZipArchive zip(MappedFile::open(test_model(name)));
    EXPECT_GT(zip.entries().size(), 4u);
    for (const ZipEntry& entry : zip.entries()) EXPECT_NO_THROW(zip.check_crc(entry)) << entry.name;
  }
}

TEST(Crc32, HasTheCheckValueOfItsDefinition) {
  const std::string digits = "123456789";
  const auto bytes = std::as_bytes(std::span(digits));
  EXPECT_EQ(crc32(bytes), 0xcbf43926u);
  EXPECT_EQ(crc32(bytes.subspan(4), crc32(bytes.first(4))), 0xcbf43926u);
  EXPECT_EQ(crc32({}), 0u);
}

}  // namespace
}  // namespace tutti
