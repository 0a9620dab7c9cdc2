#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace retort {
namespace {

namespace fs = std::filesystem;

class CgroupTest : public testing::Test {
 protected:
  CgroupTest() : root_(fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(root_);
  }
  ~CgroupTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string root() const { return root_.string(); }

 private:
  fs::path root_;
};

TEST_F(CgroupTest, WithoutAnyThereIsNoLimit) {
  EXPECT_TRUE(std::isinf(cgroup_cpu_quota(root())));
  EXPECT_TRUE(cgroup_memory(root()).empty());
}

TEST_F(CgroupTest, Version2TakesTheLeastOfAllLevels) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  write("sys/fs/cgroup/outer/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root()), 1.5);

  write("sys/fs/cgroup/outer/memory.max", "2000\n");
  write("sys/fs/cgroup/outer/memory.current", "1500\n");
  write("sys/fs/cgroup/outer/memory.stat", "anon 100\ninactive_file 700\n");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("sys/fs/cgroup/outer/inner/memory.current", "10\n");
  const auto memory = cgroup_memory(root());
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0].limit, 2000u);
  EXPECT_EQ(memory[0].used, 800u);
}

TEST_F(CgroupTest, Version1HasAFolderForEachController) {
  write("proc/self/cgroup", "5:memory:/box\n3:cpu,cpuacct:/box/in:side\n0::/\n");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu/box/in:side/cpu.cfs_quota_us", "50000\n");
  write("sys/fs/cgroup/cpu/box/in:side/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root()), 0.5);

  write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "4096\n");
  write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "4000\n");
  write("sys/fs/cgroup/memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 5000\n");
  const auto memory = cgroup_memory(root());
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0].limit, 4096u);
  EXPECT_EQ(memory[0].used, 0u);
}

// The path is as the host sees it, and what is mounted is the container's own folder.
TEST_F(CgroupTest, InAContainerTheRootsLimitsAreItsOwn) {
  write("proc/self/cgroup", "4:memory:/docker/0123\n1:cpu:/docker/0123\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "10\n");
  EXPECT_EQ(cgroup_cpu_quota(root()), 2);
  ASSERT_EQ(cgroup_memory(root()).size(), 1u);
  EXPECT_EQ(cgroup_memory(root())[0].used, 10u);
}

}  // namespace
}  // namespace retort
