# SPDX-License-Identifier: BSD-3-Clause
"""Scripts for compare.py: what clients send, right and wrong."""

BIG = b"v" * 200000

SCRIPTS = {
    "set and get": b"set k 5 0 3\r\nabc\r\nget k\r\nget k k\r\nget nokey\r\n"
                   b"get nokey k nokey\r\nset e 0 0 0\r\n\r\nget e k\r\n",
    "data longer": b"set k 0 0 3\r\nabcdef\r\nget k\r\n",
    "data much longer": b"set k 0 0 3\r\nabc\r\nset k 0 0 3\r\nabcdefghi\r\n"
                        b"\r\nget k\r\nversion\r\n",
    "data longer, noreply": b"set k 0 0 3 noreply\r\nabcdef\r\nget k\r\n",
    "bad sizes": b"set k 0 0 -1\r\nset k 0 0 x\r\nset k 0 0 \r\nset k 0 0\r\n"
                 b"set k 0 0 4294967295\r\nset k 0 0 2147483648\r\n"
                 b"set k 0 0 01\r\na\r\nset k 0 0 +1\r\nb\r\nget k\r\n",
    "bad flags": b"set k -1 0 1\r\na\r\nset k 4294967295 0 1\r\na\r\nget k\r\n"
                 b"set k 00 0 1\r\na\r\nset k 0x1 0 1\r\nget k\r\n"
                 b"set k +7 0 1\r\na\r\nget k\r\nset k -0 0 1\r\na\r\nget k\r\n"
                 b"set k + 0 1\r\na\r\nset k ++1 0 1\r\na\r\nget k\r\n",
    "bad times": b"set k 0 zz 1\r\na\r\nset k 0 -1 1\r\na\r\nget k\r\n"
                 b"add k 0 -1 1\r\na\r\nadd k 0 -1 1\r\na\r\n",
    "long keys": b"set " + b"k" * 251 + b" 0 0 1\r\na\r\nset " + b"k" * 250 + b" 0 0 1\r\na\r\nget " +
                 b"k" * 250 + b"\r\nincr " + b"k" * 251 + b" 1\r\ndelete " + b"k" * 251 +
                 b"\r\ntouch " + b"k" * 251 + b" 1\r\n",
    # Alone: memcached forgets replies before it that it has not sent yet.
    "long key in a get": b"get a " + b"k" * 251 + b"\r\n",
    "blanks": b" get k\r\nget  k \r\nget k\n\r\nget \r\nget\r\ngets\r\nGET k\r\n"
              b"gat\r\ngat 0\r\ngat 0 k\r\ngat x k\r\n",
    "counting": b"incr n 1\r\nset n 0 0 2\r\n10\r\nincr n -1\r\nincr n x\r\n"
                b"incr n\r\nincr n 1 noreply\r\nincr n 1 foo\r\n"
                b"incr n 18446744073709551615\r\ndecr n 100\r\n"
                b"incr n 18446744073709551616\r\nincr n 1 2 3\r\nget n\r\n",
    "what counts as a number":
        b"set n 0 0 3\r\n 10\r\nincr n 1\r\nset n 0 0 3\r\n+10\r\nincr n 1\r\n"
        b"set n 0 0 3\r\n10a\r\nincr n 1\r\nset n 0 0 4\r\n10 a\r\nincr n 1\r\n"
        b"set n 0 0 0\r\n\r\nincr n 1\r\nset n 0 0 2\r\n-1\r\nincr n 1\r\n"
        b"set n 0 0 20\r\n18446744073709551615\r\nincr n 1\r\nget n\r\n"
        b"set n 0 0 25\r\n0000000000000000000000009\r\nincr n 1\r\nget n\r\n"
        b"set n 0 0 3\r\n100\r\ndecr n 1\r\nget n\r\nincr n 1\r\nget n\r\n",
    "delete": b"delete\r\ndelete k 0\r\ndelete k 0 noreply\r\n"
              b"delete k noreply\r\ndelete k 1\r\ndelete k foo\r\n"
              b"delete k 0 0\r\ndelete k 0 foo\r\ndelete a b c d e\r\n"
              b"set k 0 0 1\r\na\r\ndelete k\r\ndelete k\r\n",
    "touch": b"touch k\r\ntouch k 0\r\ntouch k x\r\ntouch k 0 noreply\r\n"
             b"touch k 0 foo\r\nset k 0 0 1\r\na\r\ntouch k 100\r\nmg k t\r\n"
             b"gat 1000 k\r\nmg k t\r\ngats 0 k\r\nmg k t\r\ntouch k -1\r\n"
             b"get k\r\nset k 0 0 1\r\na\r\ngat -1 k\r\nget k\r\n",
    "cas": b"cas k 0 0 1\r\ncas k 0 0 1 x\r\ncas k 0 0 1 1\r\na\r\n"
           b"cas k 0 0 1 1 noreply\r\na\r\ncas k 0 0 1 -1\r\na\r\n"
           b"cas zz 0 0 1 18446744073709551616\r\na\r\nset k 0 0 1\r\na\r\n"
           b"cas k 0 0 1 0\r\nb\r\nget k\r\n",
    "flush_all": b"flush_all\r\nflush_all 0\r\nflush_all noreply\r\n"
                 b"flush_all 0 noreply\r\nflush_all x\r\nflush_all \r\n"
                 b"flush_all 0 foo\r\nflush_all 0 1 2\r\n"
                 b"set k 0 0 1\r\na\r\nflush_all\r\nget k\r\n"
                 b"set k 0 0 1\r\na\r\nget k\r\n",
    "verbosity": b"verbosity\r\nverbosity 1\r\nverbosity noreply\r\n"
                 b"verbosity foo bar my\r\nverbosity 0 noreply\r\n"
                 b"verbosity x\r\n",
    "version": b"version noreply\r\nversion foo bar\r\nversion\r\n",
    "many keys": b"".join(b"set k%d %d 0 3\r\nabc\r\n" % (i, i) for i in range(0, 60, 2)) +
                 b"gets" + b"".join(b" k%d" % i for i in range(60)) + b"\r\n" +
                 b"set big 0 0 200000\r\n" + BIG + b"\r\n" +
                 b"get k2 big k3 big big k4 big k6 big big nokey\r\n",
    "gets in a row":
        b"".join(b"ms k%d 3\r\nabc\r\n" % i for i in range(0, 40, 2)) +
        b"".join(b"mg k%d v k\r\n" % i for i in range(40)) + b"mn\r\n" +
        b"".join(b"mg k%d q s v Oa%d\r\n" % (i, i) for i in range(40)) + b"mn\r\n" +
        b"mg k0 v\r\nmg k2 v v\r\nmg k4 v\r\nmg k6 t T30\r\nmg k6 t\r\nmg\r\nmg k8\r\n"
        b"mg k10 v\r\nms k10 1\r\nx\r\nmg k10 v\r\nmd k10\r\nmg k10 v\r\n"
        b"mg new v N30\r\nmg new v\r\nmg a3I= b v k\r\nmg k2 f\r\nget k2\r\nmg k2 h\r\n",
    "large gets in a row":
        b"ms big 200000\r\n" + BIG + b"\r\nms k 1\r\nx\r\n" +
        b"mg k v\r\nmg big v\r\n" * 6 + b"mg nokey v\r\nmg k\r\nmn\r\n",
    "quit": b"quit foo\r\nversion\r\n",
    "stats": b"stats nothing\r\nstats reset\r\nstats reset noreply\r\n"
             b"stats noreply\r\nshutdown\r\n",
    "words": b"set\r\nset k\r\nset k 0 0\r\nset k 0 0 1 2\r\na\r\n"
             b"set k 0 0 1 noreply x\r\na\r\nset k 0 0 1 foo\r\na\r\nget k\r\n"
             b"nothing\r\n\r\nset k 0 0 1 noreply\r\na\r\n"
             b"set k 0 0 -1 noreply\r\nset k x 0 1 noreply\r\nversion\r\n",
    "modes": b"add k 0 0 1\r\na\r\nadd k 0 0 1\r\nb\r\nreplace k 1 0 1\r\nc\r\n"
             b"append k 9 0 1\r\nd\r\nprepend k 9 0 1\r\ne\r\nget k\r\n"
             b"replace zz 0 0 1\r\na\r\nappend zz 0 0 1\r\na\r\n"
             b"append k 0 0 1 noreply\r\nx\r\ngets k\r\n",
    "large values": b"set b 7 0 200000\r\n" + BIG + b"\r\nget b\r\ngets b b\r\n"
                    b"append b 0 0 200000\r\n" + BIG + b"\r\nget b b b b b b\r\n"
                    b"prepend b 0 0 3\r\nabc\r\nget b\r\n"
                    b"add b 0 0 200000\r\n" + BIG + b"\r\n"
                    b"replace b 0 0 200000\r\n" + BIG + b"\r\nmg b s v\r\n"
                    b"set b 0 0 200000\r\n" + BIG + b"xx\r\nversion\r\n",
    "too large": b"set k 0 0 1\r\na\r\nset k 0 0 1200000\r\n" +
                 b"x" * 1200000 + b"\r\nget k\r\nset k 0 0 1200000 noreply\r\n" +
                 b"x" * 1200000 + b"\r\nversion\r\n",
    "a get of many keys": b"set kk 0 0 2\r\nhi\r\nget " + b"kk nokey " * 30000 +
                          b"\r\nversion\r\n",
    "mg": b"mg\r\nmg k\r\nset k 5 100 3\r\nabc\r\nmg k\r\nmg k v\r\n"
          b"mg k c f h k l O1234 q s t u v\r\nmg k vfs\r\nmg k v f v\r\n"
          b"mg k z\r\nmg k 1\r\nmg k S\r\nmg k O\r\nmg k T\r\nmg k Tx\r\n"
          b"mg k T0 t\r\nmg k T-1\r\nmg k v\r\nmg k\tv\r\nmg  k  v \r\n",
    "vivify and recache":
        b"mg zz v q\r\nmg zz k O1 v\r\nmg zz N100 t v c k O9 s f\r\n"
        b"mg zz N100 v t\r\nmg zz v\r\nmg zz R1000 t v\r\nmg zz R1 v\r\n"
        b"ms zz 2\r\nhi\r\nmg zz v R10 t\r\nmg zz T100 R10 t\r\n"
        b"mg zz R200 t\r\nmg zz R200 t\r\nmg zz q\r\nmg zz q v\r\nmn\r\n",
    "ms": b"ms a 2 c k O12 F5 T0\r\nhi\r\nmg a k v f c t\r\nms a S2\r\nhi\r\n"
          b"ms a x\r\nms a\r\nms\r\nms a -1\r\nms a 2 F-1\r\nhi\r\n"
          b"ms a 2 Fx\r\nhi\r\nms a 2 Tx\r\nhi\r\nms a 2 Cx\r\nhi\r\n"
          b"ms a 2 MX\r\nhi\r\nms a 2 MEfoo\r\nhi\r\nms a 2 M\r\nhi\r\n"
          b"ms a 2 z\r\nhi\r\nms a 2 q\r\nhi\r\nms a 2 q ME\r\nhi\r\nmn\r\n"
          b"ms a 2 T-1\r\nhi\r\nmg a v\r\nms a +2\r\nhi\r\n",
    "modes of ms":
        b"ms a 2\r\nhi\r\nms a 2 MA\r\nxx\r\nms a 2 MP\r\nyy\r\nmg a v\r\n"
        b"ms nn 1 MA\r\na\r\nms nn 1 MR\r\na\r\nms nn 1 MP k\r\na\r\n"
        b"ms nn 1 C5 k O2\r\na\r\nms a 2 C1 k O2 c\r\nzz\r\nms a 2 MS\r\nzz\r\n"
        b"ms a 2 C0\r\nzz\r\nms a 2 MR C1\r\nzz\r\nms a 2 ME C1\r\nzz\r\n"
        b"ms a 2 MA C1\r\nzz\r\nms a 2 abc\r\nms a 3\r\nabcdef\r\nmn\r\n",
    "base64":
        b"ms YWJj 2 b\r\nhi\r\nmg YWJj b k v\r\nmg abc k v\r\nget abc\r\n"
        b"ms abc 1\r\na\r\nmg YWJj b k v\r\nmg !!! b v\r\nmg YWI= b k v\r\n"
        b"ms IA== 2 b k\r\nhi\r\nmg IA== b k v\r\nms abc 2 b\r\nhi\r\n"
        b"ms a= 2 b\r\nhi\r\nmg YWJ= b v\r\nmg ==== b\r\nmg YQ== k b s v\r\n"
        b"me YWJj b\r\nme YWJj\r\nme abc b\r\nmg " + b"a" * 252 + b" b\r\n",
    "md": b"md\r\nmd nope\r\nmd nope q\r\nmd nope k O1\r\nset d 0 0 1\r\na\r\n"
          b"md d q k O1\r\nset d 0 0 1\r\na\r\nmd d I k O1 T100\r\n"
          b"mg d v t c\r\nmg d v t\r\nms d 1 I C1\r\nb\r\nmg d v\r\nmd d C1\r\n"
          b"md d Cx\r\nmd d z\r\nmd d v\r\nmd d\r\nmd d C0\r\n",
    "ma": b"ma\r\nma nope\r\nma nope q\r\nma nope N0 J13 v t c k O1\r\n"
          b"ma nope v\r\nma nope MI D5 v\r\nma nope MD D2 v\r\n"
          b"ma nope Minc v\r\nma nope M+ v\r\nma nope M- v\r\nma nope Mi v\r\n"
          b"ma nope Mx v\r\nma nope Dx v\r\nma nope D-1 v\r\nma nope Jx\r\n"
          b"ma nope q\r\nma nope q v\r\nma nope T100 t v\r\nma nope C1 v\r\n"
          b"set s 0 0 1\r\na\r\nma s\r\nma s v k O1\r\nma nope k c f s h\r\n"
          b"ma kk N1 J5 q v k\r\nma n3 N0 J18446744073709551615 v\r\n"
          b"ma n3 v\r\nma n3 MD D5 v\r\n",
    "me": b"me\r\nme nope\r\nset k 5 100 3\r\nabc\r\nme k\r\nget k\r\nme k\r\n",
    "mn": b"mn\r\nmn foo\r\nm\r\nmx k\r\nmgk\r\n",
    "long words": b"mg k O" + b"x" * 31 + b"\r\nmg k O" + b"x" * 32 +
                  b"\r\nms k 1 O" + b"x" * 32 + b"\r\na\r\nmg " + b"k" * 251 +
                  b"\r\nmg " + b"k" * 250 + b" v k\r\nms " + b"k" * 251 +
                  b" 2\r\nhi\r\nma " + b"k" * 251 + b"\r\nmd " + b"k" * 251 +
                  b"\r\nme " + b"k" * 251 + b"\r\nmn\r\n",
    "many flags": b"mg k" + b" v" * 17 + b"\r\nmg k" + b" v" * 18 +
                  b"\r\nms k 2" + b" v" * 16 + b"\r\nhi\r\nms k 2" +
                  b" v" * 17 + b"\r\nhi\r\nma k" + b" v" * 18 + b"\r\nmd k" +
                  b" v" * 18 + b"\r\nmn\r\n",
    # No incr after a get: memcached makes a new item, without marks, if the
    # reply to the get has not been sent yet.
    "stale": b"set z 0 0 3\r\n100\r\nmd z I\r\nma z v\r\nmg z v\r\nmg z v\r\n"
             b"md z I\r\nget z\r\ngets z\r\nmg z v\r\nms z 1\r\na\r\nmd z I T100\r\nmg z t s k\r\n"
             b"ms y 1 T100\r\na\r\nms y 1 I C1 T0\r\nb\r\nmg y v t\r\n"
             b"append z 0 0 1\r\nb\r\nmg z v\r\n",
    "hits": b"set h 0 0 1\r\na\r\nmg h h u\r\nmg h h\r\nmg h h\r\n"
            b"set h 0 0 1\r\na\r\nget h\r\nmg h h\r\nappend h 0 0 1\r\nb\r\n"
            b"mg h h\r\nset h 0 0 1\r\n1\r\nincr h 1\r\nmg h h\r\n",
    "ms too large": b"set k 0 0 1\r\na\r\nms k 1200000 q\r\n" +
                    b"x" * 1200000 + b"\r\nmg k v\r\nmn\r\n",
}

# Those that are short enough to be sent byte by byte.
SPLIT = [name for name, data in SCRIPTS.items() if len(data) < 3000]

LONG = b" O" + b"x" * 32 + b"\r\n"
TOO_LONG = b"CLIENT_ERROR opaque token too long\r\n"
NO_KEY = b"CLIENT_ERROR error decoding key\r\n"

# What stays different, as the table in vmemcached(1) says: the commands, the reply
# of vmemcached, that of memcached.
DIFFERENT = {
    "NUL in a line": (
        b"set nul\0x 0 0 1\r\nv\r\n", b"STORED\r\n", b"ERROR\r\nERROR\r\n"),
    "base64 beside padding": (
        b"mg aw=a b k\r\n", NO_KEY, b"EN kawA= b\r\n"),
    "base64 after padding": (
        b"mg aw==aaaa b k\r\n", NO_KEY, b"EN kaw== b\r\n"),
    "two errors": (
        b"mg k Tx Z\r\n", b"CLIENT_ERROR bad token in command line format\r\n",
        b"CLIENT_ERROR invalid flag\r\n"),
    "opaque of mg": (
        b"mg new N100" + LONG + b"mg new k s\r\n", TOO_LONG + b"EN knew\r\n",
        TOO_LONG + b"HD knew s0\r\n"),
    "opaque of ma": (
        b"ma new N0" + LONG + b"mg new k s\r\n", TOO_LONG + b"EN knew\r\n",
        TOO_LONG + b"HD knew s1\r\n"),
    "end within a value": (
        b"set k 0 0 1\r\nv\r\nset l 0 0 100\r\nabc", b"STORED\r\n", b""),
    "flags": (
        b"set k 4294967303 0 1\r\nv\r\nget k\r\n",
        b"CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n",
        b"STORED\r\nVALUE k 7 1\r\nv\r\nEND\r\n"),
}
