#include "mountd/proof_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace firn {
namespace {

class ProofStoreTest : public testing::Test {
 protected:
  ~ProofStoreTest() override { std::filesystem::remove_all(directory_); }

  static std::string MakeDirectory() {
    std::string path = testing::TempDir() + "proofs.XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    return path;
  }
  struct stat StatOf(const std::string& path) const {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0);
    return status;
  }
  std::string MakeImage(const std::string& content) const {
    std::ofstream(directory_ + "/image") << content;
    return directory_ + "/image";
  }

  const std::string directory_ = MakeDirectory();
  const std::string path_ = directory_ + "/state/proofs.json";
};

TEST_F(ProofStoreTest, RemembersAcrossRestarts) {
  const struct stat image = StatOf(MakeImage("image"));
  {
    ProofStore store(path_);
    EXPECT_FALSE(store.Has("sha256:a", image));
    store.Add("sha256:a", image);
  }
  const ProofStore store(path_);
  EXPECT_TRUE(store.Has("sha256:a", image));
  EXPECT_FALSE(store.Has("sha256:b", image));
  EXPECT_EQ(StatOf(path_).st_mode & 0777, 0600u);
}

TEST_F(ProofStoreTest, DoesNotKnowAFileThatWasChanged) {
  const std::string image = MakeImage("image");
  ProofStore store(path_);
  store.Add("sha256:a", StatOf(image));
  ASSERT_EQ(chmod(image.c_str(), 0640), 0);  // its bytes may be others as well: ctime is all we see
  EXPECT_FALSE(store.Has("sha256:a", StatOf(image)));
}

TEST_F(ProofStoreTest, BelievesNoFileThatOthersMayWriteTo) {
  const struct stat image = StatOf(MakeImage("image"));
  ProofStore(path_).Add("sha256:a", image);
  ASSERT_EQ(chmod(path_.c_str(), 0620), 0);
  EXPECT_FALSE(ProofStore(path_).Has("sha256:a", image));
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  EXPECT_TRUE(ProofStore(path_).Has("sha256:a", image));
  const std::string aside = directory_ + "/aside";
  std::filesystem::rename(path_, aside);
  std::filesystem::create_symlink(aside, path_);
  EXPECT_FALSE(ProofStore(path_).Has("sha256:a", image));
}

TEST_F(ProofStoreTest, StartsAfreshWhereTheFileIsDamaged) {
  const struct stat image = StatOf(MakeImage("image"));
  ProofStore(path_).Add("sha256:a", image);
  std::stringstream whole;
  whole << std::ifstream(path_).rdbuf();
  for (const std::string& text :
       {whole.str().substr(0, whole.str().size() / 2), std::string(), std::string("[]"),
        std::string(R"({"version":1,"proofs":[{"id":7}]})"),
        std::string(R"({"version":2,"proofs":[]})")}) {
    std::ofstream(path_, std::ios::trunc) << text;
    {
      ProofStore store(path_);
      EXPECT_FALSE(store.Has("sha256:a", image)) << text;
      store.Add("sha256:a", image);
    }
    EXPECT_TRUE(ProofStore(path_).Has("sha256:a", image)) << text;
  }
}

TEST_F(ProofStoreTest, ForgetsTheOldest) {
  struct stat image = StatOf(MakeImage("image"));
  ProofStore store({});
  for (size_t i = 0; i <= ProofStore::kMostProofs; ++i) {
    image.st_ino = i;
    store.Add("sha256:a", image);
  }
  image.st_ino = 0;
  EXPECT_FALSE(store.Has("sha256:a", image));
  image.st_ino = 1;
  EXPECT_TRUE(store.Has("sha256:a", image));
}

}  // namespace
}  // namespace firn
