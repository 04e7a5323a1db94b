# xenstore-schema/: the list of nodes, the path builder made from it, and the page that prints it.

SCHEMA_SRCS := xenstore-schema/nodes.c
$(eval $(call unit,nodes,$(SCHEMA_SRCS),))
