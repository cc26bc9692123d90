#include "format/sign_image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/appendix.h"
#include "format/error.h"
#include "format/test_image.h"
#include "format/verify.h"

namespace firn {
namespace {

class SignImageTest : public testing::Test {
 protected:
  SignImageTest() : path_((images_.directory() / "image").string()) { Write("content"); }

  void Write(const std::string& content) {
    std::filesystem::remove(path_);
    images_.Write("image", {{"file", content}}, {.block_size = 4096, .source_name = {}});
  }

  SignSummary Sign(const PrivateKey& key, const SignOptions& options = {}) const {
    return SignImage(Open(), path_, key, options);
  }
  FileDescriptor Open() const { return OpenFile(path_, O_RDONLY, ErrorKind::kInput); }
  std::vector<std::byte> Bytes() const { return AllBytesOf(Open().get()); }
  std::optional<SignatureArea> Area() const {
    const FileDescriptor file = Open();
    return ReadSignatures(file.get(), Appendix::ReadImage(file.get(), path_), path_);
  }

  TestImages images_;
  const std::string path_;
  const PrivateKey alice_ = PrivateKey::Generate("alice");
  const PrivateKey bob_ = PrivateKey::Generate("bob");
};

TEST_F(SignImageTest, ASignatureStandsBehindTheCoreAndChangesNothingBefore) {
  const std::vector<std::byte> before = Bytes();
  EXPECT_FALSE(Area());
  const SignSummary summary = Sign(alice_);
  EXPECT_TRUE(summary.is_new);
  EXPECT_EQ(summary.signatures, 1u);
  EXPECT_EQ(summary.written, path_);
  const std::vector<std::byte> after = Bytes();
  EXPECT_TRUE(std::equal(before.begin(), before.end() - kFooterLength, after.begin()));
  ASSERT_TRUE(Area());
  EXPECT_EQ(Area()->image_id, summary.id);
  EXPECT_TRUE(Area()->IsRight(Area()->signatures.at(0)));
  const VerifyReport report = Verify(Open(), path_, {.jobs = 1, .progress = {}});
  EXPECT_TRUE(report.ok());
  ASSERT_TRUE(report.signatures);
  EXPECT_EQ(report.signatures->signatures.size(), 1u);
}

TEST_F(SignImageTest, SignaturesAddUpOneAKeyUntilTheyAreDiscarded) {
  Sign(alice_);
  const std::vector<std::byte> once = Bytes();
  EXPECT_FALSE(Sign(alice_).is_new);
  EXPECT_EQ(Bytes(), once);
  EXPECT_EQ(Sign(bob_).signatures, 2u);
  EXPECT_EQ(Sign(bob_, {.discard = true, .progress = {}}).signatures, 1u);
  EXPECT_EQ(Area()->signatures.at(0).key, bob_.named().key);
}

TEST_F(SignImageTest, DetachedTheyLieBesideTheImage) {
  const std::vector<std::byte> before = Bytes();
  const SignSummary summary = Sign(alice_, {.detached = true, .progress = {}});
  EXPECT_EQ(summary.written, path_ + ".sig");
  EXPECT_EQ(Bytes(), before);
  Sign(bob_, {.detached = true, .progress = {}});
  const auto area = ReadDetachedSignatures(path_ + ".sig");
  ASSERT_TRUE(area);
  EXPECT_EQ(area->signatures.size(), 2u);
  EXPECT_EQ(area->image_id, summary.id);
}

TEST_F(SignImageTest, ThoseOfAnotherImageAreNotAddedTo) {
  const SignOptions detached{.detached = true, .progress = {}};
  Sign(alice_, detached);
  Write("another content");
  try {
    Sign(bob_, detached);
    ADD_FAILURE() << "added";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
    EXPECT_EQ(error.path(), path_ + ".sig");
    EXPECT_NE(error.message().find("over another image"), std::string::npos);
    EXPECT_NE(error.remedy().find("--discard"), std::string::npos);
  }
  EXPECT_EQ(Sign(bob_, {.detached = true, .discard = true, .progress = {}}).signatures, 1u);
}

TEST_F(SignImageTest, VerifyFindsSignaturesThatAreNotOfTheirKeyOrOverAnotherImage) {
  Sign(alice_);
  Sign(bob_);
  const FileDescriptor file = OpenFile(path_, O_RDWR, ErrorKind::kInput);
  const Footer footer = Appendix::ReadImage(file.get(), path_).footer();
  SignatureArea area = *Area();
  std::swap(area.signatures[0].signature, area.signatures[1].signature);
  WriteAt(file.get(), footer.signatures_offset, area.Encode());
  const VerifyReport swapped = Verify(Open(), path_, {.jobs = 1, .progress = {}});
  ASSERT_EQ(swapped.findings.size(), 2u);
  EXPECT_EQ(swapped.findings[0].offset, footer.signatures_offset + SignatureArea::kHeadLength);
  EXPECT_NE(swapped.findings[0].message.find("is not by that key"), std::string::npos);

  area = {.image_id = Digest{}, .signatures = {}};
  area.Add(alice_);
  area.Add(bob_);
  WriteAt(file.get(), footer.signatures_offset, area.Encode());
  const VerifyReport foreign = Verify(Open(), path_, {.jobs = 1, .progress = {}});
  ASSERT_EQ(foreign.findings.size(), 1u);
  EXPECT_NE(foreign.findings[0].message.find("over another image"), std::string::npos);
}

TEST_F(SignImageTest, OwnerAndModeStayAndASymlinkToo) {
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  const std::string link = path_ + ".link";
  std::filesystem::create_symlink("image", link);
  SignImage(OpenFile(link, O_RDONLY, ErrorKind::kInput), link, alice_, {});
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  EXPECT_TRUE(Area());
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(path_.c_str(), 1, 2), 0);
  Sign(bob_);
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1u);
  EXPECT_EQ(status.st_gid, 2u);
}

TEST_F(SignImageTest, ACopyMayBeGivenUpAndLeavesNothing) {
  const std::vector<std::byte> before = Bytes();
  const auto give_up = [](uint64_t, uint64_t) { throw Error(ErrorKind::kInterrupted, "enough"); };
  EXPECT_THROW(Sign(alice_, {.progress = give_up}), Error);
  EXPECT_EQ(Bytes(), before);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(images_.directory())) {
    ++files;
  }
  EXPECT_EQ(files, 1u);
}

TEST_F(SignImageTest, ItIsCopiedBetweenFileSystemsToo) {
  SignImage(MemoryFileOf(Bytes()), path_, alice_, {});
  ASSERT_TRUE(Area());
  EXPECT_TRUE(Verify(Open(), path_, {.jobs = 1, .progress = {}}).ok());
}

TEST_F(SignImageTest, AnImageOfSomebodyElseIsNotMadeOnesOwn) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(chmod(images_.directory().c_str(), 0777), 0);
  const std::vector<std::byte> before = Bytes();
  FileDescriptor image = Open();
  ASSERT_EQ(seteuid(65534), 0);
  std::optional<Error> refusal;
  try {
    SignImage(std::move(image), path_, alice_, {});
  } catch (const Error& error) {
    refusal = error;
  }
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind(), ErrorKind::kOutput) << refusal->what();
  EXPECT_NE(refusal->message().find("belongs to uid 0"), std::string::npos) << refusal->what();
  EXPECT_NE(refusal->remedy().find("--detached"), std::string::npos);
  EXPECT_EQ(Bytes(), before);
}

TEST_F(SignImageTest, DetachedSignaturesAreARegularFile) {
  EXPECT_FALSE(ReadDetachedSignatures(path_ + ".sig"));
  const auto refusal = [](const std::string& path) {
    try {
      ReadDetachedSignatures(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.path(), path);
      return error.kind();
    }
    return ErrorKind::kInternal;
  };
  EXPECT_EQ(refusal(images_.directory().string()), ErrorKind::kInput);
  EXPECT_EQ(refusal(path_ + "/below"), ErrorKind::kInput);
  std::ofstream(path_ + ".sig") << "no signatures";
  EXPECT_EQ(refusal(path_ + ".sig"), ErrorKind::kDamaged);
  std::ofstream(path_ + ".sig") << std::string(100'000, 'x');
  EXPECT_EQ(refusal(path_ + ".sig"), ErrorKind::kDamaged);
}

}  // namespace
}  // namespace firn
