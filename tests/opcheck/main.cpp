#define BOOST_TEST_MODULE opcheck
#include <boost/test/unit_test.hpp>
