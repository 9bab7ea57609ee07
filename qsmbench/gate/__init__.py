"""The regression gate: have the scores of a study got worse than a baseline?"""
