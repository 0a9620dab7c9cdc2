# retort_room(NAME [ROOMS below...] [LIBS third-party...])
#
# One static library for the folder src/NAME. A room sees only its own headers
# and those of the rooms it names: each room gets an include directory that
# holds nothing but a link to itself, so an include against the order of the
# house (docs/architecture.md) does not compile.
function(retort_room name)
  cmake_parse_arguments(arg "" "" "ROOMS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  if(sources)
    add_library(retort_${name} STATIC ${sources})
    set(scope PUBLIC)
  else() # a room of headers only
    add_library(retort_${name} INTERFACE)
    set(scope INTERFACE)
  endif()

  set(window ${PROJECT_BINARY_DIR}/rooms/${name})
  file(MAKE_DIRECTORY ${window})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${name} ${window}/${name} SYMBOLIC)
  target_include_directories(retort_${name} ${scope} ${window})

  list(TRANSFORM arg_ROOMS PREPEND retort_)
  target_link_libraries(retort_${name} ${scope} retort_options ${arg_ROOMS} ${arg_LIBS})
endfunction()

# retort_embed(ROOM FILE NAME): the text of FILE as std::string_view retort::NAME, declared where it is used.
function(retort_embed room file name)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  file(READ ${CMAKE_CURRENT_SOURCE_DIR}/${file} text)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
    "#include <string_view>\n\nnamespace retort {\nextern const std::string_view @name@;\nconst std::string_view @name@ = R\"embedded(@text@)embedded\";\n}\n")
  target_sources(retort_${room} PRIVATE ${source})
endfunction()

# retort_test_dir(NAME [LIBS...]): tests/NAME/*_test.cpp become one GoogleTest program, test_NAME.
function(retort_test_dir name)
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE retort_${name} ${arg_LIBS} GTest::gmock GTest::gtest_main)
  target_include_directories(test_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(test_${name} PRIVATE RETORT_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/data")
  gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
endfunction()
