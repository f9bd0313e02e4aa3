//! Floods: known clients go on while strangers and one greedy client press (A3, DESIGN 7).
